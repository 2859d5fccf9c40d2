# An image with the locked environment; the repository is mounted into it (docs/reproduction.md). It works
# with and without GPUs: torch's wheels include CUDA, and nvidia-cublas-cu12 is the part of it that Whisper
# needs. For a small image without CUDA, name an index of torch's CPU wheels:
#   docker build --build-arg TORCH_CPU_INDEX=https://... -t likeness .
FROM python:3.11-slim-bookworm AS environment
ARG TORCH_CPU_INDEX=""
WORKDIR /build
COPY requirements.lock .
# Of one version, pip prefers the CPU index's wheel, as its suffix +cpu counts as newer; it needs no CUDA.
RUN python -m venv /opt/venv \
    && grep -vE "${TORCH_CPU_INDEX:+^(nvidia-|cuda-|triton=)|}^#" requirements.lock > wanted.txt \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps \
        ${TORCH_CPU_INDEX:+--extra-index-url "$TORCH_CPU_INDEX"} --requirement wanted.txt \
    && /opt/venv/bin/python -c "import torch, torchaudio, torchvision" && touch /opt/venv/.ready

FROM environment AS studio-environment
COPY requirements-studio.txt .
# What comes after "for its tests" is left out.
RUN sed '/^# for its tests/,$d' requirements-studio.txt > wanted.txt \
    && /opt/venv/bin/pip install --no-cache-dir --constraint requirements.lock --requirement wanted.txt \
    && touch /opt/venv/.studio

FROM python:3.11-slim-bookworm AS base
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory /likeness \
    && useradd --create-home --uid 1000 likeness && chmod 777 /home/likeness
# The `likeness` command; its code is in the repository that will be mounted.
RUN printf '#!/opt/venv/bin/python\nfrom likeness.cli import entry\n\nentry()\n' > /usr/local/bin/likeness \
    && chmod 755 /usr/local/bin/likeness
# The container can run as any --user, so that files in the mounted folder belong to the folder's owner.
# Therefore everybody may write to HOME, and LOGNAME is set for DVC, as such a user has no name.
ENV HOME=/home/likeness LOGNAME=likeness VENV=/opt/venv PYTHONPATH=/likeness/src PATH=/opt/venv/bin:$PATH
USER 1000
WORKDIR /likeness

# The service (docs/deployment.md): docker build --target studio -t likeness-studio .
FROM base AS studio
COPY --from=studio-environment /opt/venv /opt/venv
EXPOSE 8321
ENTRYPOINT ["likeness", "studio"]
CMD ["--host", "0.0.0.0"]

FROM base
COPY --from=environment /opt/venv /opt/venv
# make must not build the environment again because a mounted requirements.lock is newer.
CMD ["make", "--old-file=/opt/venv/.ready", "repro"]
