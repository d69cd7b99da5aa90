# docker build -t rikki . && docker run --read-only -p 8000:8000 -v "$PWD/public:/srv:ro" rikki
# What it needs is in docs/containers.md.

FROM docker.io/library/rust:1-bookworm AS build
WORKDIR /rikki
COPY . .
RUN cargo build --release --locked --package rikki-cli

# Has the C library, the authorities that the system trusts, and the user 65532; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /rikki/target/release/rikki /usr/bin/rikki
USER 65532:65532
WORKDIR /srv
ENV RIKKI_LISTEN=http://*:8000 RIKKI_ADMIN=http://127.0.0.1:9100
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/bin/rikki", "health", "http://127.0.0.1:9100/readyz"]
ENTRYPOINT ["/usr/bin/rikki"]
CMD ["/srv"]
