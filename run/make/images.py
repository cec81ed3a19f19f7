# SPDX-License-Identifier: MIT
"""The guests that a lab is started with: loaded, or made where nothing need be compiled for it."""

from __future__ import annotations

from run.base.config import Paths
from run.base.errors import RunError
from run.guest.choice import KernelChoice, OwnKernel
from run.guest.fitness import DRIVER, NTB_HINT
from run.host.install import Policy
from run.make.prepare import Request, make
from run.steps.artifacts import GuestImage
from run.steps.steps import Steps


def guest_image(paths: Paths, choice: KernelChoice, *, linked: bool) -> GuestImage:
    """The guest with that kernel; one of the user's own is taken anew where it has changed.

    :param linked: it will have an NTB port
    :raises MissingBuild: nobody built it yet
    :raises RunError: it cannot be a guest of a linked lab
    """
    image = (
        _own(paths, choice)
        if isinstance(choice, OwnKernel)
        else GuestImage.load(choice.home(paths).build)
    )
    if linked and not image.ntb:
        raise RunError(f"{choice}: no driver for the NTB port in it ({DRIVER})", hint=NTB_HINT)
    return image


def _own(paths: Paths, choice: OwnKernel) -> GuestImage:
    request = Request(what=["guest"], kernel=choice, policy=Policy.NEVER)
    (image,) = make(Steps(paths.logs), paths, request)
    assert isinstance(image, GuestImage)
    return image
