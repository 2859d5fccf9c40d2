"""What the studio's workers need of libraries and code, imported once.

multiprocessing's fork server imports this module and forks every worker from there. So a worker that
takes a dead one's place need not import torch and Coqui again, which is most of a start. Diffusers is not
among them: its import asks CUDA for its devices, and a process that is forked after that cannot use them.
"""

import signal
import warnings

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the server's, which ends the others
warnings.filterwarnings("ignore", category=FutureWarning)

import peft  # noqa: E402, F401
from transformers import CLIPTextModel, CLIPTokenizer  # noqa: E402, F401
from TTS.tts.models.xtts import Xtts  # noqa: E402, F401

from likeness.studio import worker  # noqa: E402

worker.pin_code()
