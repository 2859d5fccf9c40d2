"""Can CTranslate2, which runs Whisper, use a GPU; if not, why.

Its wheel opens cuBLAS of CUDA 12 by its bare name when a model is put on a GPU. torch brings that of
CUDA 13 alone, and no search path leads to the package that brings the other. A library that is loaded
already is found by its name, so it is loaded here. Nothing else has to be: CUDA's runtime is linked into
CTranslate2, and it calls no cuDNN.
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
        # Its names stay its own: torch's are another version's.
        ctypes.CDLL(library())
    except OSError as error:
        return f"{error}; `pip install -r requirements.lock` brings {PACKAGE}"
    return ""


def library() -> str:
    """The library's path in its package; without the package its name, as the system may have one."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    return next((str(file.locate()) for file in files if file.name == LIBRARY), LIBRARY)
