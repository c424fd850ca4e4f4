"""--compile: forwards become single graphs with the same numbers, or run uncompiled if that is impossible."""

import copy

import pytest
import torch
from torch import nn

from models import networks
from util.numerics import compiling
from util.numerics.compiling import MOST_SHAPES, OFTEN, compile_networks
from util.numerics.precision import Precision, full_precision

CPU = torch.device("cpu")
LAYERS = [0, 4, 8, 12, 16]


@pytest.fixture
def tracing(monkeypatch):
    """torch.compile without a compiler: every forward must become one graph, and each is compiled for 8 times at most.

    Returns a list that gets the number of nodes of each graph.
    """
    graphs = []

    def keep(graph, inputs):
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "why_not", lambda kind: None)
    monkeypatch.setattr(compiling, "settings", lambda mode, device: {"backend": keep, "fullgraph": True})
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        yield graphs


def compiled(net, mode="default"):
    compile_networks({"G": net}, mode, CPU)
    return net


class Scale(nn.Module):
    """x -> weight * x; records the calls made by Python."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.weight * x


def blurred():
    return networks.define_G(3, 3, 4, "resnet_6blocks", "instance", no_antialias=False, no_antialias_up=False)


NETS = {
    "resnet": (lambda: networks.define_G(3, 3, 4, "resnet_6blocks", "instance"), [(3, 32, 32)]),
    "resnet with batch norm": (lambda: networks.define_G(3, 3, 4, "resnet_6blocks", "batch", True), [(3, 32, 32)]),
    "blurred resnet": (blurred, [(3, 32, 32)]),
    "features": (blurred, [(3, 32, 32), LAYERS]),
    "features alone": (blurred, [(3, 32, 32), LAYERS, True]),
    "unet": (lambda: networks.define_G(3, 3, 2, "unet_128", "batch", True), [(3, 128, 128)]),
    "patchgan": (lambda: networks.define_D(3, 4, "basic", norm="instance"), [(3, 32, 32)]),
    "blurred patchgan": (lambda: networks.define_D(3, 4, "basic", norm="batch", no_antialias=False), [(3, 32, 32)]),
    "pixel": (lambda: networks.define_D(3, 4, "pixel", norm="batch"), [(3, 8, 8)]),
    "mapping": (lambda: networks.define_F(4, "mapping"), [(4, 8, 8)]),
    "stargan": (lambda: networks.StarGANGenerator(4, 5, 2), [(3, 32, 32), (5,)]),
    "stargan discriminator": (lambda: networks.StarGANDiscriminator(32, 4, 5, 4), [(3, 32, 32)]),
}


def flat(result):
    return [result] if isinstance(result, torch.Tensor) else [tensor for each in result for tensor in flat(each)]


def example(name, images=2):
    """(network, inputs) for a row of NETS; shapes in it stand for random tensors."""
    torch.manual_seed(0)
    make, inputs = NETS[name]
    return make(), [torch.rand(images, *each) if isinstance(each, tuple) else each for each in inputs]


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NETS)
def test_every_network_compiles_to_one_graph_with_the_same_numbers(name, precision, tracing):
    net, inputs = example(name)
    Precision(precision, CPU).use_autocast(net)
    plain = copy.deepcopy(net)
    torch.manual_seed(1)
    found = flat(compiled(net)(*inputs))
    torch.manual_seed(1)
    expected = flat(plain(*inputs))
    assert len(tracing) == 1
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("recomputes", [False, True])
def test_blocks_of_all_networks_of_a_class_are_compiled_once(recomputes, tracing):
    nets = {name: blurred().double() for name in ("G_A", "G_B")}
    for net in nets.values():
        for block in net.modules():
            if isinstance(block, networks.ResnetBlock):
                block.recomputes = recomputes
    plain = copy.deepcopy(nets)
    compile_networks(nets, "blocks", CPU)
    x = torch.rand(1, 3, 32, 32, dtype=torch.double)
    for made in (nets, plain):
        sum(feature.square().mean() for net in made.values() for feature in flat(net(x, LAYERS))).backward()
    assert len(tracing) == 1
    for name, net in nets.items():
        assert "forward" not in vars(net)
        assert list(net.state_dict()) == list(plain[name].state_dict())
        for (key, own), other in zip(net.named_parameters(), plain[name].parameters()):
            torch.testing.assert_close(own.grad, other.grad, rtol=1e-12, atol=1e-14, msg=key)


def test_networks_without_blocks_share_their_code(tracing):
    nets = {name: networks.define_D(3, 4, "basic", norm="instance") for name in ("D_A", "D_B")}
    plain = copy.deepcopy(nets)
    compile_networks(nets, "blocks", CPU)
    x = torch.rand(1, 3, 32, 32)
    for name, net in nets.items():
        assert torch.equal(net(x), plain[name](x))
    assert len(tracing) == 1
    twin = copy.deepcopy(nets["D_A"])
    twin.load_state_dict(plain["D_B"].state_dict())
    assert torch.equal(twin(x), plain["D_B"](x))
    assert len(tracing) == 1


def test_with_none_nothing_is_compiled():
    assert "forward" not in vars(compiled(Scale(), mode="none"))


def test_keys_are_kept_and_a_deepcopy_uses_its_own_weights(tracing):
    net = compiled(Scale())
    assert list(net.state_dict()) == ["weight"]
    net(torch.ones(3))
    twin = copy.deepcopy(net)
    twin.weight.data.fill_(5.0)
    assert twin(torch.ones(3)).tolist() == [5, 5, 5]
    assert net(torch.ones(3)).tolist() == [2, 2, 2]
    assert len(tracing) == 1


def test_compiling_again_changes_nothing_and_keeps_a_replaced_forward(tracing):
    net = compiled(compiled(Scale()))
    assert net(torch.ones(3)).tolist() == [2, 2, 2]
    assert len(tracing) == 1
    net.forward = lambda x: "mine"
    assert compiled(net)(torch.ones(3)) == "mine"


def test_networks_of_one_class_have_separate_limits_of_variants(tracing):
    """Variants with and without gradients, frozen or not, do not count for torch's limit of another network."""
    nets = [compiled(Scale()) for _ in range(4)]
    for net in nets:
        for x in (torch.ones(2), torch.ones(2, requires_grad=True)):
            for frozen in (True, False):
                net.requires_grad_(not frozen)
                net(x)
    assert len(tracing) == 16


def test_a_second_shape_is_compiled_if_it_occurs_often(tracing):
    net = compiled(Scale())
    for _ in range(OFTEN):
        assert net(torch.ones(4)).tolist() == [2, 2, 2, 2]
        assert net(torch.ones(3)).tolist() == [2, 2, 2]
    assert len(tracing) == 2


def test_a_short_last_batch_runs_uncompiled(tracing):
    net = compiled(Scale())
    for _ in range(3 * OFTEN):
        for size in [4] * OFTEN + [3]:
            assert len(net(torch.ones(size))) == size
    assert len(tracing) == 1


def test_images_of_many_sizes_run_uncompiled(tracing):
    net = compiled(Scale())
    for _ in range(3 * OFTEN):
        for size in range(1, 3 * OFTEN):
            assert len(net(torch.ones(size))) == size
    assert len(tracing) == 1


def test_the_number_of_compiled_shapes_is_limited(tracing):
    net = compiled(Scale())
    for size in range(1, 3 * MOST_SHAPES):
        for _ in range(10 * OFTEN):
            net(torch.ones(size))
    assert len(tracing) == MOST_SHAPES


def test_gradient_penalties_run_uncompiled(tracing):
    netD = networks.define_D(3, 4, "basic", norm="instance")
    plain = copy.deepcopy(netD)
    compiled(netD)
    real, fake = torch.rand(2, 1, 3, 32, 32)
    found = []
    for net in (netD, plain):
        torch.manual_seed(0)
        with full_precision():
            networks.cal_gradient_penalty(net, real, fake, "cpu")[0].backward()
        found.append([p.grad for p in net.parameters() if p.grad is not None])
    assert tracing == []
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_an_error_in_the_network_itself_is_raised(monkeypatch):
    monkeypatch.setattr(compiling, "why_not", lambda kind: None)
    monkeypatch.setattr(compiling, "settings", lambda mode, device: {"backend": "eager"})
    net = compiled(networks.define_G(3, 3, 2, "resnet_4blocks"))
    with pytest.raises(ValueError, match="layers 0 to"):
        net(torch.rand(1, 3, 16, 16), [99])


def test_without_a_compiler_one_line_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(compiling, "why_not", lambda kind: "no compiler on this machine")
    net = compiled(Scale())
    assert "forward" not in vars(net)
    assert capsys.readouterr().out == (
        "--compile default: nothing can be compiled here, so the networks run uncompiled "
        "(no compiler on this machine)\n"
    )


def test_a_broken_compiler_is_found_by_a_trial(monkeypatch):
    def broken(function):
        def run(x):
            raise RuntimeError("g++ not found\nmany more lines")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    assert compiling.why_not.__wrapped__("cpu") == "g++ not found"


def test_a_network_that_can_not_be_compiled_runs_uncompiled_and_is_named(tracing, monkeypatch, capsys):
    def refuse(graph, inputs):
        raise ValueError("such a graph")

    monkeypatch.setattr(compiling, "settings", lambda mode, device: {"backend": refuse})
    net = compiled(Scale())
    assert [net(torch.ones(2)).tolist() for _ in range(2)] == [[2, 2], [2, 2]]
    before, line = capsys.readouterr().out.splitlines()
    assert "first steps" in before
    assert "G can't be compiled" in line and "such a graph" in line


def test_a_backward_pass_that_can_not_be_compiled_does_not_end_the_run(monkeypatch, capsys):
    from torch._dynamo.backends.common import aot_autograd

    def refuse(graph, inputs):
        raise ValueError("such a gradient")

    backend = aot_autograd(fw_compiler=lambda graph, inputs: graph.forward, bw_compiler=refuse)
    monkeypatch.setattr(compiling, "why_not", lambda kind: None)
    monkeypatch.setattr(compiling, "settings", lambda mode, device: {"backend": backend})
    net = compiled(Scale())
    net(torch.ones(2)).sum().backward()
    assert net.weight.grad == 2
    assert "such a gradient" in capsys.readouterr().out


def test_outputs_that_a_replay_would_overwrite_are_copied(monkeypatch):
    """A replacement for a CUDA graph: every call writes its result to the same memory."""
    net, memory = compiled_for_replay(monkeypatch)
    first = net(torch.ones(2))
    second = net(torch.full((2,), 3.0))
    assert [each.tolist() for each in (*first, *second)] == [[2, 2], [2, 2], [6, 6], [6, 6]]
    assert all(each.data_ptr() != memory.data_ptr() for each in first)
    second[0].sum().backward()
    assert net.weight.grad == 6


def compiled_for_replay(monkeypatch):
    memory = torch.zeros(2)

    def replay(net, x):
        y = net.weight * x
        memory.copy_(y.detach())
        return y + (memory - y).detach(), memory

    monkeypatch.setattr(compiling, "why_not", lambda kind: None)
    monkeypatch.setattr(torch, "compile", lambda forward, **settings: replay)
    net = Scale()
    compile_networks({"G": net}, "reduce-overhead", torch.device("cuda"))
    return net, memory


def test_random_numbers_of_a_projector_are_drawn_outside_the_compiled_code(tracing):
    """Dynamo can't trace random generators: a network that uses one and has no `with_draws` is not compiled."""

    class Draws(Scale):
        def draw(self):
            return torch.rand(2)

        def forward(self, x, places=None):
            return super().forward(x * (self.draw() if places is None else places))

    class Offers(Draws):
        def with_draws(self, x, places=None):
            return x, self.draw() if places is None else places

    assert "forward" not in vars(compiled(Draws()))
    net, x = compiled(Offers()), torch.ones(2)
    for each in (0, 1):
        torch.manual_seed(each)
        expected = 2 * torch.rand(2)
        torch.manual_seed(each)
        assert torch.equal(net(x), expected)
    assert len(tracing) == 1


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["features", "patchgan", "unet", "stargan"])
def test_compiled_code_gives_the_same_numbers_and_gradients(name, dtype):
    """At batch size 1, with gradients whose memory layout differs from that of the images."""
    if compiling.why_not("cpu") is not None:
        pytest.skip(f"nothing can be compiled here: {compiling.why_not('cpu')}")
    net, inputs = example(name, images=1)
    net.to(dtype)
    inputs = [each.to(dtype) if isinstance(each, torch.Tensor) else each for each in inputs]
    plain = copy.deepcopy(net)
    results = [numbers_and_gradients(each, inputs) for each in (plain, compiled(net))]
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    largest = max(expected.norm() for expected in results[0])
    for expected, found in zip(*results, strict=True):
        # The gradient of a bias before an instance norm is 0 up to the rounding of larger numbers.
        assert (found - expected).norm() <= tolerance * max(expected.norm(), 0.1 * largest)


def numbers_and_gradients(net, inputs):
    net.eval()  # no dropout: compiled code draws its own
    images = inputs[0].clone().requires_grad_()
    results = flat(net(images, *inputs[1:]))
    loss = 0
    for result in results:
        weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view(*result.shape[::-1])
        loss = loss + (result.tanh() * weights.permute(*reversed(range(result.dim())))).sum()
    loss.backward()
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    return [*(result.detach() for result in results), images.grad, *gradients]
