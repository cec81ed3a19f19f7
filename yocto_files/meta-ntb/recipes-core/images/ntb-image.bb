SUMMARY = "The guest of the NTB lab"
DESCRIPTION = "A console image for one of two virtual machines joined by an NTB: OpenSSH, and root \
               without a password, which is why it belongs behind a port on loopback."
LICENSE = "MIT"

# Of openembedded-core.
# nooelint: oelint.file.requirenotfound
require recipes-extended/images/core-image-full-cmdline.bb

# Log in as root, by ssh and on the console, without a password: that is what guests of a lab are for.
# nooelint: oelint.var.badimagefeature.allow-empty-password,oelint.var.badimagefeature.allow-root-login,oelint.var.badimagefeature.empty-root-password,oelint.vars.outofcontext
IMAGE_FEATURES += "allow-empty-password allow-root-login empty-root-password"

# QEMU's -drive takes it as it is; one copy for each guest.
IMAGE_FSTYPES = "ext4"

# KiB for what somebody copies into a guest.
IMAGE_ROOTFS_EXTRA_SPACE = "65536"

# The kernel's own NTB test is a bash script; lspci shows the device from inside.
IMAGE_INSTALL:append = " bash pciutils"
