"""What each worker needs of libraries and code, imported once.

multiprocessing's fork server imports this module and forks every worker from there. So a worker that
takes a dead one's place need not import torch, Coqui and diffusers again, which is most of a start. The
fork server has no threads and never touches a GPU, as PyTorch asks of a process that is forked.
"""

import warnings
from inspect import getfile
from pathlib import Path

from likeness.common.closure import code_digest
from likeness.image.drawing import draw_with
from likeness.voice.speech import speak

warnings.filterwarnings("ignore", category=FutureWarning)

import peft  # noqa: E402, F401
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline  # noqa: E402, F401
from transformers import CLIPTextModel, CLIPTokenizer  # noqa: E402, F401
from TTS.tts.models.xtts import Xtts  # noqa: E402, F401

# The code that was imported, and not one that is edited later, stands behind the results.
for function in (speak, draw_with):
    code_digest(Path(getfile(function)))
