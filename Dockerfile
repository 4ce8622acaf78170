# The course in a container: for one person, or as the image of a class (docs/teaching.md).
#
#   docker build -t llm-insides .
#   docker run --rm -p 127.0.0.1:8888:8888 -v llm-insides:/home/learner llm-insides
#
# Building needs the network, running does not. What is installed belongs to root and is only read;
# a learner's notebooks and record are in /home/learner.

FROM python:3.11-slim AS build
COPY pyproject.toml setup.py constraints.txt README.md LICENSE LICENSE-TEXT /src/
COPY course_lib /src/course_lib
COPY notebooks /src/notebooks
WORKDIR /src
# For example --build-arg PIP_OPTIONS="--extra-index-url ADDRESS", with the address that PyTorch's page
# on installing gives for machines without a GPU: this saves several gigabytes.
ARG PIP_OPTIONS=""
RUN python -m venv /opt/course \
 && /opt/course/bin/pip install --no-cache-dir -c constraints.txt $PIP_OPTIONS ".[class]"

FROM python:3.11-slim
COPY --from=build /opt/course /opt/course
RUN useradd --create-home --uid 1000 learner
ENV PATH=/opt/course/bin:$PATH \
    COURSE_HOME=/home/learner/record \
    COURSE_WORKSPACE=/home/learner/notebooks \
    PYTHONUTF8=1
USER 1000
WORKDIR /home/learner
EXPOSE 8888
CMD ["course", "lab", "--ip=0.0.0.0", "--no-browser"]
