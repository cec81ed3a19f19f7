# SPDX-License-Identifier: MIT
"""The guided tour: two linked guests, seen, compared, watched and changed, each claim checked."""
