#include "core/runtime/task.h"

#include <spdlog/spdlog.h>

#include <asio/co_spawn.hpp>
#include <exception>
#include <utility>

namespace wherry {

void Spawn(const asio::any_io_executor& executor, std::string what, Task<> task) {
  asio::co_spawn(executor, std::move(task), [what = std::move(what)](std::exception_ptr error) {
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      spdlog::error("task ended by an exception task={} error=\"{}\"", what, e.what());
    }
  });
}

}  // namespace wherry
