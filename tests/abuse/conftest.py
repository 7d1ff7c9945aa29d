"""One platform for all attempts that need one: `platform`, shared by the files of the group "abuse"."""

from __future__ import annotations
