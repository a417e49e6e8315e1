# The page to try a model on, without a GPU, by the README's command:
#   docker build -t groundgraph . && docker run --rm -p 127.0.0.1:7860:7860 groundgraph
# Your own model: docker run ... -v "$PWD/runs:/runs:ro" groundgraph app /runs/NAME
FROM python:3.12-slim
ENV PIP_NO_CACHE_DIR=1
RUN useradd --create-home --uid 1000 groundgraph
WORKDIR /home/groundgraph/src
COPY . .
# torch and torchvision without CUDA, which is 5 GB of a first install.
RUN pip install "torch>=2.6" "torchvision>=0.21" --index-url https://download.pytorch.org/whl/cpu \
    && pip install -e ".[app]"
USER 1000
# A container is reached from outside it; -p says by whom.
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860
EXPOSE 7860
ENTRYPOINT ["groundgraph"]
CMD ["app"]
