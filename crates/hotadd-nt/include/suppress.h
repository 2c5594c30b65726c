/* Warnings of the static analyser by name, for `#pragma warning(suppress: ...)`, which has no effect here. */
#pragma once
