#include "task/prompt.h"

#include <gtest/gtest.h>

#include "task/registry.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
