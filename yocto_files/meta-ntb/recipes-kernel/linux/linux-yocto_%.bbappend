FILESEXTRAPATHS:prepend := "${THISDIR}/${PN}:"

SRC_URI += "file://ntb.cfg"

# pahole, without which the kernel cannot describe its own types (BTF).
KERNEL_DEBUG = "True"

# The uncompressed kernel beside the image, for gdb and crash.
KERNEL_ALT_IMAGETYPE = "vmlinux"
