# SPDX-License-Identifier: MIT
# Everything that `python3 run` builds with: QEMU, the quick guest, and a Yocto image.
#
#   python3 run --container COMMAND …     builds this image and runs COMMAND in it
#   docker build -t ntbdbg .              by hand
#
# The checkout is not copied in: it is mounted, with the build folder, where it is on the host.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

# The launcher's own list (run/host/packages.py) names the same packages; a test compares.
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    # the launcher, and logging in to guests
    python3 python3-venv openssh-client telnet xxd procps \
    # QEMU and its source
    apt debian-archive-keyring xz-utils gcc libc6-dev make bison dpkg-dev flex git libattr1-dev libfdt-dev \
    libglib2.0-dev libpixman-1-dev libslirp-dev ninja-build patch pkg-config \
    # the quick guest
    binutils kmod libelf1 dwarves \
    # Yocto
    chrpath cpio diffstat file g++ gawk locales lz4 rpcsvc-proto wget zstd \
    # ntbdbg's tests and benchmarks
    chromium crash diffutils gdb gpg gpg-agent grep makedumpfile python3-libkdumpfile ripgrep strace \
    && rm -rf /var/lib/apt/lists/*

# bitbake wants this very locale.
RUN echo 'en_US.UTF-8 UTF-8' >> /etc/locale.gen && locale-gen
ENV LANG=en_US.UTF-8

# The launcher gives its caller's numbers: bitbake refuses root, ssh wants a user that has a name, and
# what is written into the build folder shall be the caller's.
ARG UID=1000
ARG GID=1000
RUN if [ "${UID}" != 0 ]; then \
        groupadd --non-unique --gid "${GID}" builder \
        && useradd --non-unique --uid "${UID}" --gid "${GID}" --create-home builder; \
    fi

USER ${UID}:${GID}
