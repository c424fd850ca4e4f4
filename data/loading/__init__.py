"""The machinery from a data set to batches on the device; data sets themselves lie one folder above."""
