# The locked environment; the repository is mounted, see docs/reproduction.md. With GPUs as without:
# torch's wheels bring CUDA along, and nvidia-cublas-cu12 what Whisper needs of it. For a small image
# without it, where Whisper runs on the CPU like the rest, name the index of torch's CPU wheels:
#   docker build --build-arg TORCH_CPU_INDEX=https://... -t likeness .
FROM python:3.11-slim-bookworm AS environment
ARG TORCH_CPU_INDEX=""
WORKDIR /build
COPY requirements.lock .
# Of the same version, pip prefers the wheel of an index for CPUs; that one needs no CUDA packages.
RUN python -m venv /opt/venv \
    && grep -vE "${TORCH_CPU_INDEX:+^(nvidia-|cuda-|triton=)|}^#" requirements.lock > wanted.txt \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps \
        ${TORCH_CPU_INDEX:+--extra-index-url "$TORCH_CPU_INDEX"} --requirement wanted.txt \
    && /opt/venv/bin/python -c "import torch, torchaudio, torchvision" && touch /opt/venv/.ready

FROM python:3.11-slim-bookworm
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory /likeness \
    && useradd --create-home --uid 1000 likeness && chmod 777 /home/likeness
COPY --from=environment /opt/venv /opt/venv
# The command of the repository that will be mounted.
RUN printf '#!/opt/venv/bin/python\nfrom likeness.cli import entry\n\nentry()\n' > /opt/venv/bin/likeness \
    && chmod 755 /opt/venv/bin/likeness
# Any --user will do, so that what is written to the mounted folder belongs to its owner: HOME is open to
# all, and LOGNAME is the name that DVC asks for where the system knows none.
ENV HOME=/home/likeness LOGNAME=likeness VENV=/opt/venv PYTHONPATH=/likeness/src PATH=/opt/venv/bin:$PATH
USER 1000
WORKDIR /likeness
# To make, the environment is as new as the image, whatever the times in a mounted folder.
CMD ["make", "--old-file=/opt/venv/.ready", "repro"]
