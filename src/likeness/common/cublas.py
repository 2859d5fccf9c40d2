"""Whether CTranslate2, which runs Whisper, can use a GPU, and if not, why.

Its wheel opens cuBLAS of CUDA 12 by its bare name when a model is put on a GPU. torch installs only
that of CUDA 13, and the package with the other is on no search path. A library that is already loaded
is found by its name, so it is loaded here. Nothing else is needed: CUDA's runtime is linked into
CTranslate2, and it does not call cuDNN.
"""

import ctypes
from importlib import metadata

LIBRARY, PACKAGE = "libcublas.so.12", "nvidia-cublas-cu12"


def gpu_problem() -> str:
    """Why CTranslate2 cannot use a GPU, and what to do; empty if it can, with the library loaded."""
    import ctranslate2

    if not ctranslate2.get_cuda_device_count():
        return "CTranslate2 sees no GPU; update NVIDIA's driver"
    try:
        # RTLD_LOCAL, the default: torch uses the same symbols of another version.
        ctypes.CDLL(library())
    except OSError as error:
        return f"{error}; `pip install -r requirements.lock` brings {PACKAGE}"
    return ""


def library() -> str:
    """The library's path in its package. Without the package its name, as the system may have it."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    return next((str(file.locate()) for file in files if file.name == LIBRARY), LIBRARY)
