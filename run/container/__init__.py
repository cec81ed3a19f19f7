# SPDX-License-Identifier: MIT
"""The same launcher inside a container, by Docker or Podman."""
