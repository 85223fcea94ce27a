# SPDX-License-Identifier: GPL-2.0-or-later
"""What the integration tests share: a sandbox per test, a Varlink client, the daemon's life, independent eyes."""
