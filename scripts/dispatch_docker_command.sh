#!/bin/sh
# SPDX-License-Identifier: MIT
# The older spelling of: python3 run
exec python3 "$(dirname "$0")/../run" "$@"
