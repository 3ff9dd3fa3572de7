# The explorer on a public host (docs/deploy.md): runs as user 1000 and writes only to /data.
#
#     docker build --tag explorer .
#     docker run --init --read-only --tmpfs /tmp --volume results:/data --publish 8501:8501 explorer

FROM python:3.12-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
# The index of PyTorch for CPUs; --build-arg TORCH_INDEX=INDEX installs PyTorch from another one.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements.txt /
RUN grep '^torch' /requirements.txt > /torch.txt \
    && pip install --no-cache-dir --index-url "$TORCH_INDEX" --requirement /torch.txt \
    && pip install --no-cache-dir --requirement /requirements.txt \
    && rm /torch.txt
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl \
    && useradd --uid 1000 --home-dir /tmp --no-create-home explorer \
    && install --directory --owner=explorer --group=explorer /data

USER 1000:1000
# An installed package writes to results/ in the working directory and reads the committed ones too.
WORKDIR /data
VOLUME /data
# Read-only for visitors; with 0, every visitor can train, measure and create files.
ENV ROADMAP_PUBLIC=1 \
    MALLOC_ARENA_MAX=2 \
    PYTHONDONTWRITEBYTECODE=1
EXPOSE 8501
HEALTHCHECK --start-period=30s --interval=30s --timeout=5s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://localhost:8501/_stcore/health', timeout=4)"]
CMD ["modernizing-resnet", "app", "--address", "0.0.0.0"]
