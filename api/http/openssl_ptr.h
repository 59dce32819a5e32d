#pragma once

// OpenSSL's objects as unique_ptr. Only for .cc files of this folder.

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace wherry::http {

template <auto Free>
struct OpensslFree {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslFree<SSL_free>>;

// The oldest queued error as text; empties the queue.
std::string OpensslError();
X509Ptr ReadCertificate(std::string_view pem);  // null when it is none
std::vector<X509Ptr> ReadCertificates(std::string_view pem);
PkeyPtr ReadPrivateKey(std::string_view pem);

}  // namespace wherry::http
