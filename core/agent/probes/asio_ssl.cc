// Asio's TLS functions, compiled once for the whole program (ASIO_SEPARATE_COMPILATION).
#include <asio/ssl/impl/src.hpp>
