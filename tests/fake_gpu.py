"""A GPU that is not there: tensors on it are computed by the CPU, and what a real GPU refuses is an error.

An operation on tensors of both devices is refused, as is NumPy's reading of a tensor that is still on the GPU; what is
put there is noted. Its name is a device that torch knows and this machine cannot have.
"""

import types

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "fakegpu:0"
# Indices may stay on the CPU, as may the lengths of packed sequences; copies go from one device to the other.
FREE = {"index", "index_put", "index_put_", "_index_put_impl_", "_pack_padded_sequence", "copy_", "_to_copy"}
RECURRENT = {"lstm", "gru_cell"}  # which have kernels of their own for a GPU, that the CPU lacks
MADE = {torch.tensor, torch.as_tensor}  # which torch makes on the device itself, in no operation that could be seen


class OnGpu(torch.Tensor):
    """A tensor on the fake GPU, with the CPU's tensor that holds its values."""

    @staticmethod
    def __new__(cls, held):
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device(NAME), requires_grad=False,
        )  # fmt: skip
        made.held = held
        return made

    def __repr__(self):
        return f"OnGpu({self.held})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


def _run(function, args, kwargs, note=lambda function, tensors: None):
    name = function._schema.name.partition("::")[2]
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    there = [x for x in tensors if isinstance(x, OnGpu)]
    here = [x for x in tensors if not isinstance(x, OnGpu) and x.dim()]
    if there and here and name not in FREE:
        raise RuntimeError(f"{name}: expected all tensors to be on the same device: {[tuple(x.shape) for x in here]}")
    if name in ("index", "_pack_padded_sequence") and not isinstance(args[0], OnGpu) and there:
        raise RuntimeError(f"{name}: indices on the GPU for a tensor on the CPU")
    names = [argument.name for argument in function._schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    device, generator = given.get("device"), given.get("generator")
    device = torch.device(device) if device is not None else None
    on_gpu = device == torch.device(NAME) if device is not None else bool(there)
    if on_gpu and generator is not None and generator.device.type == "cpu":
        raise RuntimeError(f"{name}: a generator of the CPU for a tensor on the GPU")
    if name.startswith("copy_"):
        on_gpu = isinstance(args[0], OnGpu)
    note(name, there, on_gpu)
    if device is not None and device == torch.device(NAME):
        args = [torch.device("cpu") if n == "device" else a for n, a in zip(names, args, strict=False)]
        kwargs = {k: torch.device("cpu") if k == "device" else v for k, v in kwargs.items()}
    inner = [x.held if isinstance(x, OnGpu) else x for x in tensors]
    args, kwargs = tree_map(lambda x: x.held if isinstance(x, OnGpu) else x, (tuple(args), kwargs))
    result = function(*args, **kwargs)
    if name in ("_to_copy", "to") and not on_gpu and there and any(result is x for x in inner):
        result = result.clone()
    changed = {id(x.held): x for x in there}

    if name == "_pack_padded_sequence":  # packed values and, for the CPU, how many there are at each step
        return OnGpu(result[0]) if on_gpu else result[0], result[1]

    def back(value):
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in changed:  # what an operation in place gives is what it was given
            return changed[id(value)] if on_gpu else value
        return OnGpu(value) if on_gpu else value

    return tree_map(back, result)


class _Watch(TorchDispatchMode):
    def __init__(self, gpu):
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {}, self.gpu.note)


def _register():
    """Make the name known to torch."""
    kind = NAME.partition(":")[0]
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as set_up

    module = types.SimpleNamespace(
        is_available=lambda: False, device_count=lambda: 0, current_device=lambda: 0, manual_seed_all=lambda seed: None,
        _is_in_bad_fork=lambda: False, is_initialized=lambda: True, _lazy_init=lambda: None,
        get_amp_supported_dtype=lambda: [torch.bfloat16, torch.float16],
    )  # fmt: skip
    set_up(kind, module)


# As soon as tests are collected: the first backward pass fixes how many devices there are. Beside a real GPU torch's
# backward pass takes the wrong streams once there is another kind of device.
if not torch.cuda.is_available():
    _register()


class FakeGpu(TorchFunctionMode):
    """Within it there is the GPU `device`.

    puts  how many tensors were put on it; work: how many operations it did; reads: how many were read back
    """

    def __init__(self):
        super().__init__()
        self.device, self.puts, self.work, self.reads, self.dtypes = torch.device(NAME), 0, 0, 0, set()

    def note(self, name, there, on_gpu):
        if on_gpu and not there:
            self.puts += 1
        elif there and not on_gpu:
            self.reads += 1
        elif there:
            self.work += 1
            self.dtypes |= {x.dtype for x in there if x.is_floating_point()}

    def __enter__(self):
        # Tensors of inference mode cannot be what a wrapper shows; without a gradient is as good.
        self.mode, torch._C._InferenceMode = torch._C._InferenceMode, lambda mode: torch.no_grad()
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a wrapper's values cannot be exchanged
        self.watch = _Watch(self)
        self.watch.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.watch.__exit__(*error)
        torch._C._InferenceMode = self.mode
        torch.__future__.set_overwrite_module_params_on_conversion(False)

    def recur(self, function, args):
        """All on the GPU but the lengths, done by the CPU, and back."""
        floats = [x for x in tree_flatten(args)[0] if isinstance(x, torch.Tensor) and x.is_floating_point()]
        there = {isinstance(x, OnGpu) for x in floats}
        if len(there) > 1:
            raise RuntimeError(f"{function.__name__}: expected all tensors to be on the same device")
        found = function(*tree_map(lambda x: x.cpu() if isinstance(x, torch.Tensor) else x, args))
        return (
            tree_map(lambda x: x.to(self.device) if isinstance(x, torch.Tensor) else x, found) if there.pop() else found
        )

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.Tensor.tolist and isinstance(args[0], OnGpu):
            return args[0].cpu().tolist()
        if getattr(function, "__name__", "") in RECURRENT:
            return self.recur(function, args)
        if function in MADE and kwargs.get("device") is not None:
            return function(*args, **{k: v for k, v in kwargs.items() if k != "device"}).to(kwargs["device"])
        return function(*args, **kwargs)
