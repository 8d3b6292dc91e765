# docker build -t bids_stroke .
#
# The default package index provides torch with CUDA. For a smaller image without GPU support, give
# PyTorch's index of CPU builds, or a folder with such a wheel:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=URL -t bids_stroke .
#   docker build --build-arg PIP_FIND_LINKS=URL_OR_FOLDER -t bids_stroke .
# To check that the image is complete:
#   docker run --rm --entrypoint bids_stroke-check bids_stroke

FROM python:3.11-slim-bookworm AS dependencies
ARG PIP_EXTRA_INDEX_URL=""
ARG PIP_FIND_LINKS=""
WORKDIR /src
COPY container/install.sh constraints.txt setup.cfg ./
RUN sh install.sh dependencies

FROM dependencies AS package
COPY . ./
RUN sh install.sh package /opt/package

FROM python:3.11-slim-bookworm
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="bids_stroke" \
      org.opencontainers.image.description="From a BIDS dataset to stroke lesion masks, volumes and corticospinal-tract loads" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0 AND LicenseRef-FSL" \
      org.opencontainers.image.base.name="python:3.11-slim-bookworm"
RUN useradd --no-create-home --uid 1000 bids_stroke
COPY --from=dependencies /opt/bids_stroke /opt/bids_stroke
# A change of only the code rebuilds only this layer.
COPY --from=package /opt/package /opt/bids_stroke
# Libraries write their caches to /tmp, where any user can write, also with --read-only --tmpfs /tmp.
ENV PATH=/opt/bids_stroke/bin:$PATH HOME=/tmp NO_ET=1 PYTHONNOUSERSITE=1
USER bids_stroke
WORKDIR /tmp
ENTRYPOINT ["bids_stroke"]
