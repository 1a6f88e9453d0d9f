#pragma once

#include <span>

#include "nutgate/store/migration.h"

namespace nutgate {

std::span<const store::Migration> keyring_migrations();

}  // namespace nutgate
