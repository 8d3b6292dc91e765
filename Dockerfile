# docker build -t bids_stroke .
#
# torch comes as the package index has it, with CUDA. For a smaller image that runs on the CPU
# alone, name PyTorch's index of CPU builds, or a folder that holds such a wheel:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=URL -t bids_stroke .
#   docker build --build-arg PIP_FIND_LINKS=URL_OR_FOLDER -t bids_stroke .

FROM python:3.11-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/bids_stroke
WORKDIR /src
COPY constraints.txt ./
RUN /opt/bids_stroke/bin/pip install -c constraints.txt torch
COPY . ./
RUN /opt/bids_stroke/bin/pip install -c constraints.txt .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="bids_stroke" \
      org.opencontainers.image.description="From a BIDS dataset to stroke lesion masks, volumes and corticospinal-tract loads" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0 AND LicenseRef-FSL" \
      org.opencontainers.image.base.name="python:3.11-slim-bookworm"
COPY --from=build /opt/bids_stroke /opt/bids_stroke
# Caches of libraries go where any user may write, also with --read-only --tmpfs /tmp.
ENV PATH=/opt/bids_stroke/bin:$PATH HOME=/tmp NO_ET=1
RUN useradd --no-create-home --uid 1000 bids_stroke
USER bids_stroke
WORKDIR /tmp
ENTRYPOINT ["bids_stroke"]
