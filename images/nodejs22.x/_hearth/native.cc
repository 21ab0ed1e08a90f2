// What JavaScript cannot do, and a restored process needs.

#include <fcntl.h>
#include <node_api.h>
#include <openssl/rand.h>
#include <sys/random.h>
#include <unistd.h>
#include <v8.h>

#include <algorithm>
#include <array>

namespace {

constexpr std::array kStreams{STDOUT_FILENO, STDERR_FILENO};

// Reseeds OpenSSL's first generator. Those that draw on it, one or two a
// thread, notice before they give out another byte.
napi_value Reseed(napi_env env, napi_callback_info) {
  std::array<unsigned char, 32> seed;
  if (getrandom(seed.data(), seed.size(), 0) != ssize_t{seed.size()}) {
    napi_throw_error(env, nullptr, "the kernel gives no random bytes");
    return nullptr;
  }
  RAND_add(seed.data(), seed.size(), seed.size());
  return nullptr;
}

// What the heap may grow to, once it is near the limit that it started with.
size_t heap_bytes_max;

size_t Raise(void*, size_t current, size_t) {
  return std::max(current, heap_bytes_max);
}

// Sets the limit of the old generation, in bytes.
napi_value LimitHeap(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int64_t bytes;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok ||
      count != 1 || napi_get_value_int64(env, argument, &bytes) != napi_ok || bytes <= 0) {
    napi_throw_type_error(env, nullptr, "expected a number of bytes");
    return nullptr;
  }
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  if (heap_bytes_max == 0) isolate->AddNearHeapLimitCallback(Raise, nullptr);
  heap_bytes_max = size_t(bytes);
  // V8 raises a limit only by a callback, and lowers it only as it takes one
  // back.
  isolate->RemoveNearHeapLimitCallback(Raise, heap_bytes_max);
  isolate->AddNearHeapLimitCallback(Raise, nullptr);
  return nullptr;
}

// Calls a function while nothing gets through to the standard streams.
napi_value Silently(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value function, undefined, result = nullptr;
  if (napi_get_cb_info(env, info, &count, &function, nullptr, nullptr) != napi_ok || count != 1) {
    napi_throw_type_error(env, nullptr, "expected a function");
    return nullptr;
  }
  std::array<int, kStreams.size()> kept;
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (size_t i = 0; i < kStreams.size(); i++) {
    kept[i] = fcntl(kStreams[i], F_DUPFD_CLOEXEC, 3);
    dup2(nowhere, kStreams[i]);
  }
  napi_get_undefined(env, &undefined);
  napi_call_function(env, undefined, function, 0, nullptr, &result);
  for (size_t i = 0; i < kStreams.size(); i++) {
    dup2(kept[i], kStreams[i]);
    close(kept[i]);
  }
  close(nowhere);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  const napi_property_descriptor properties[] = {
      {"reseed", nullptr, Reseed, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"limitHeap", nullptr, LimitHeap, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"silently", nullptr, Silently, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, std::size(properties), properties);
  return exports;
}
