# The versions of requirements.lock on Debian's Python 3.11. It has not been built yet: no Docker was
# at hand where it was written; a test looks at its syntax and at the files that it names.
#   docker build --tag blemish .
#   docker run --rm --volume "$PWD/data:/blemish/data" blemish
FROM python:3.11-slim-bookworm

RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make libgl1 libglib2.0-0 \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /blemish

# The packages first: an edit of the code does not install them again. With CUDA about 6 GB.
COPY requirements.lock ./
RUN pip install --no-cache-dir --requirement requirements.lock

COPY . .
# DVC works in a git repository; .dockerignore leaves the history at home.
RUN pip install --no-cache-dir --no-deps --editable . \
 && git init --quiet && git add --all \
 && git -c user.name=Blemish -c user.email=blemish@localhost commit --quiet --message Blemish

ENV DVC_NO_ANALYTICS=1 MLFLOW_DISABLE_TELEMETRY=true
ENTRYPOINT ["blemish"]
CMD ["run"]
