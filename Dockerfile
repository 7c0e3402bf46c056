# overread for a hospital: the page, the node and de-identification, without torch.
FROM python:3.12-slim
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir '.[serve,postgres,deidentify]' \
    && useradd --create-home overread \
    && mkdir /store \
    && chown overread /store
USER overread
WORKDIR /home/overread
VOLUME /store
EXPOSE 8765 11112
ENTRYPOINT ["overread"]
CMD ["--help"]
