FILESEXTRAPATHS:prepend := "${THISDIR}/${PN}:"

require ntb-patches.inc

# The lab is x86-64 alone; all fifteen machines take five times as long.
QEMU_TARGETS = "x86_64"

# No window and no sound: nobody looks at the guests, and what these drag in is half of the native build.
PACKAGECONFIG = "fdt kvm pie pixman slirp"

do_install:append() {
    # QEMU builds it, its own install rule leaves it out.
    install -Dm 0755 ${B}/contrib/ivshmem-server/ivshmem-server ${D}${bindir}/ivshmem-server
}
