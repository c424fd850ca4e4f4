"""From a data set to batches on the device: data loader, workers, tar archives, and the index of large folders."""
