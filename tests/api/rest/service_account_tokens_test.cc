// Tokens of service accounts: what they say, how long and for whom they are good, and how clients get and use them.

#include "api/rest/service_account_tokens.h"

#include "api/http/pki.h"
#include "tests/api/rest/table.h"

namespace wherry {
namespace {

using std::chrono::seconds;

const std::string kIssuer(ServiceAccountTokens::kIssuer);
const std::string kToken = kCore + "serviceaccounts/robot/token";
const std::string kReviews = "/apis/authentication.k8s.io/v1/tokenreviews";
const std::string kWhoAmI = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

// An account, a node, a pod on it that runs as the account, and a secret.
struct TokenCluster : ApiCluster {
  TokenCluster() {
    Make("POST", kCore + "serviceaccounts", R"({"metadata":{"name":"robot"}})");
    Make("POST", "/api/v1/nodes", R"({"metadata":{"name":"n"}})");
    Make("POST", kCore + "secrets", R"({"metadata":{"name":"s"}})");
    MakePod();
  }
  void Make(const char* method, const std::string& target, const std::string& body) {
    const Answer answer = Send(method, target, body);
    INFO(answer.body);
    REQUIRE(answer.code == 201);
  }
  void MakePod() {
    Make("POST", kCore + "pods",
         R"({"metadata":{"name":"p"},"spec":{"serviceAccountName":"robot","nodeName":"n",)"
         R"("containers":[{"name":"c","image":"i"}]}})");
  }
  std::string Uid(const std::string& target) { return Get(target).at("/metadata/uid").get<std::string>(); }

  std::string Issue(BoundObject bound = {}, std::vector<std::string> audiences = {}) {
    TokenSpec spec{"default", "robot", std::move(audiences), 600, std::move(bound)};
    const Result<IssuedToken> issued = tokens().Issue(spec);
    REQUIRE(issued.ok());
    return issued->token;
  }
  // "" when it is good, else why not.
  std::string Refusal(const std::string& token, const std::vector<std::string>& audiences = {kIssuer}) {
    const Result<Bearer> bearer = tokens().Verify(token, audiences);
    if (bearer.ok()) return "";
    CHECK(bearer.status().reason() == Reason::kUnauthorized);
    return bearer.status().message();
  }
  int CodeWith(const std::string& token) { return SendAs(token, "GET", kCore + "pods").code; }
};

Json ClaimsOf(const std::string& token) {
  const size_t first = token.find('.'), last = token.rfind('.');
  std::string claims;
  REQUIRE(http::DecodeBase64Url(std::string_view(token).substr(first + 1, last - first - 1), claims));
  return Json::parse(claims);
}

TEST_CASE("a token says who speaks, from where, to whom and how long") {
  TokenCluster api;
  const int64_t now = std::chrono::duration_cast<seconds>(api.cluster().clock().Now().time_since_epoch()).count();
  Json claims = ClaimsOf(api.Issue({"Pod", "p", ""}));
  CHECK(claims["jti"].get<std::string>().size() == 36);
  claims.erase("jti");
  const Json account = {{"name", "robot"}, {"uid", api.Uid(kCore + "serviceaccounts/robot")}};
  const Json pod = {{"name", "p"}, {"uid", api.Uid(kCore + "pods/p")}};
  const Json node = {{"name", "n"}, {"uid", api.Uid("/api/v1/nodes/n")}};
  CHECK(claims ==
        Json{{"iss", "https://kubernetes.default.svc.cluster.local"},
             {"sub", "system:serviceaccount:default:robot"},
             {"aud", {"https://kubernetes.default.svc.cluster.local"}},
             {"iat", now},
             {"nbf", now},
             {"exp", now + 600},
             {"kubernetes.io", {{"namespace", "default"}, {"serviceaccount", account}, {"pod", pod}, {"node", node}}}});
  CHECK(ClaimsOf(api.Issue({"Secret", "s", ""}))["kubernetes.io"]["secret"]["name"] == "s");
  CHECK(ClaimsOf(api.Issue({}, {"vault", "other"}))["aud"] == Json{"vault", "other"});
  CHECK(api.Issue() != api.Issue());
}

TEST_CASE("a good token stands for its account") {
  TokenCluster api;
  const Result<Bearer> bearer = api.tokens().Verify(api.Issue({"Pod", "p", ""}, {"vault", kIssuer}), {kIssuer, "x"});
  REQUIRE(bearer.ok());
  CHECK(bearer->audiences == std::vector<std::string>{kIssuer});
  CHECK(bearer->identity.user == "system:serviceaccount:default:robot");
  CHECK(bearer->identity.groups ==
        std::vector<std::string>{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"});
  CHECK(bearer->identity.uid == api.Uid(kCore + "serviceaccounts/robot"));
  const auto& extra = bearer->identity.extra;
  CHECK(extra.at("authentication.kubernetes.io/pod-name") == std::vector<std::string>{"p"});
  CHECK(extra.at("authentication.kubernetes.io/pod-uid") == std::vector<std::string>{api.Uid(kCore + "pods/p")});
  CHECK(extra.at("authentication.kubernetes.io/node-name") == std::vector<std::string>{"n"});
}

TEST_CASE("a token is good for as long as it says") {
  TokenCluster api;
  const std::string token = api.Issue();
  api.cluster().Advance(seconds(599));
  CHECK(api.Refusal(token).empty());
  CHECK(api.CodeWith(token) == 200);
  api.cluster().Advance(seconds(1));
  CHECK(api.Refusal(token) == "service account token has expired");
  CHECK(api.CodeWith(token) == 401);
}

TEST_CASE("foreign tokens are refused") {
  TokenCluster api;
  const std::string good = api.Issue();
  const Json claims = ClaimsOf(good);
  const Result<std::string> other = http::MakeSigningKey();
  CHECK(api.Refusal(*http::SignJwt(*other, claims)) == "the token's signature is wrong");
  // Another's claims under a signature of ours.
  Json forged = claims;
  forged["sub"] = "system:serviceaccount:kube-system:admin";
  const size_t first = good.find('.'), last = good.rfind('.');
  CHECK(api.Refusal(good.substr(0, first + 1) + http::Base64Url(forged.dump()) + good.substr(last)) ==
        "the token's signature is wrong");
  CHECK(api.Refusal("") == "the token is not a JWT");
  CHECK(api.Refusal(api.Issue({}, {"vault"})) == "the token is meant for another audience");
  CHECK(api.Refusal(api.Issue({}, {"vault"}), {"vault"}).empty());
  CHECK(api.CodeWith(api.Issue({}, {"vault"})) == 401);
  CHECK(api.CodeWith("") == 401);
  CHECK(api.CodeWith(good + "x") == 401);
}

TEST_CASE("of another issuer, of the future, or of no account") {
  const Result<std::string> pem = http::MakeSigningKey();
  ApiCluster api;
  Result<std::shared_ptr<const http::JwtKey>> key = http::JwtKey::FromPem(*pem);
  const ServiceAccountTokens tokens(api.cluster().registry(), *key);
  const int64_t now = std::chrono::duration_cast<seconds>(api.cluster().clock().Now().time_since_epoch()).count();
  Json claims = {{"iss", kIssuer}, {"aud", {kIssuer}}, {"nbf", now}, {"exp", now + 600}};
  auto refusal = [&](const char* claim, const Json& value) {
    Json changed = claims;
    changed[claim] = value;
    return tokens.Verify(*http::SignJwt(*pem, changed), {kIssuer}).status().message();
  };
  CHECK(refusal("iss", "https://other") == "the token is of another issuer");
  CHECK(refusal("nbf", now + 1) == "service account token is not valid yet");
  CHECK(refusal("exp", "soon") == "service account token has expired");
  CHECK(refusal("kubernetes.io", Json::object()) == "the token is not a service account's");
  CHECK(refusal("kubernetes.io", {{"serviceaccount", 1}}) == "service account token has been invalidated");
}

TEST_CASE("a token dies with its account and with what it is bound to") {
  TokenCluster api;
  const std::string invalid = "service account token has been invalidated";
  const std::string plain = api.Issue(), of_pod = api.Issue({"Pod", "p", ""}),
                    of_secret = api.Issue({"Secret", "s", ""}), of_node = api.Issue({"Node", "n", ""});
  // A node that goes takes what is bound to it alone.
  REQUIRE(api.Send("DELETE", "/api/v1/nodes/n").code == 200);
  CHECK(api.Refusal(of_node) == invalid);
  CHECK(api.Refusal(of_pod).empty());
  // A pod on its way out may speak for its grace and a minute more.
  REQUIRE(api.Send("DELETE", kCore + "pods/p").code == 200);
  api.cluster().Advance(seconds(89));
  CHECK(api.Refusal(of_pod).empty());
  api.cluster().Advance(seconds(2));
  CHECK(api.Refusal(of_pod) == invalid);
  REQUIRE(api.Send("DELETE", kCore + "pods/p?gracePeriodSeconds=0").code == 200);
  CHECK(api.Refusal(of_pod) == invalid);
  api.MakePod();  // another of that name
  CHECK(api.Refusal(of_pod) == invalid);
  REQUIRE(api.Send("DELETE", kCore + "secrets/s").code == 200);
  CHECK(api.Refusal(of_secret) == invalid);
  CHECK(api.Refusal(plain).empty());
  REQUIRE(api.Send("DELETE", kCore + "serviceaccounts/robot").code == 200);
  CHECK(api.Refusal(plain) == invalid);
  CHECK(api.CodeWith(plain) == 401);
  api.Make("POST", kCore + "serviceaccounts", R"({"metadata":{"name":"robot"}})");
  CHECK(api.Refusal(plain) == invalid);
  CHECK(api.CodeWith(api.Issue()) == 200);
}

TEST_CASE("TokenRequests") {
  TokenCluster api;
  const std::string stale = R"({"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p","uid":"other"}}})";
  auto lasting = [](const std::string& time) { return R"({"spec":{"expirationSeconds":)" + time + "}}"; };
  auto bound = [](const std::string& version, const std::string& kind, const std::string& name) {
    return R"({"spec":{"boundObjectRef":{"kind":")" + kind + R"(","apiVersion":")" + version + R"(","name":")" + name +
           R"("}}})";
  };
  api.Make("POST", kCore + "serviceaccounts", R"({"metadata":{"name":"other"}})");
  const std::string invalid = "TokenRequest.authentication.k8s.io \"robot\" is invalid: spec.expirationSeconds: ";
  CheckLines(
      api,
      {
          {"POST",
           kToken,
           {},
           R"({"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},)"
           R"("spec":{"audiences":null,"expirationSeconds":null,"boundObjectRef":null}})",
           201,
           "",
           "",
           {{"/kind", "TokenRequest"},
            {"/apiVersion", "authentication.k8s.io/v1"},
            {"/metadata/name", "robot"},
            {"/metadata/namespace", "default"},
            {"/spec/audiences", {kIssuer}},
            {"/spec/expirationSeconds", 3600},
            {"/status/expirationTimestamp", FormatTime(api.cluster().clock().Now() + seconds(3600))}}},
          {"POST", kToken, {}, lasting("600"), 201, "", "", {{"/spec/expirationSeconds", 600}}},
          {"POST",
           kToken,
           {},
           lasting("599"),
           422,
           "Invalid",
           invalid + "Invalid value: 599: may not specify a duration less than 10 minutes",
           {}},
          {"POST",
           kToken,
           {},
           lasting("4294967297"),
           422,
           "Invalid",
           invalid + "Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
           {}},
          {"POST", kToken, {}, lasting("4294967296"), 201, "", "", {{"/spec/expirationSeconds", 365 * 24 * 3600}}},
          {"POST", kToken, {}, lasting("\"long\""), 400, "BadRequest", "", {}},
          {"POST", kToken, {}, bound("v1", "Pod", "p"), 201, "", "", {{"/spec/boundObjectRef/name", "p"}}},
          {"POST", kToken, {}, bound("v1", "Secret", "s"), 201, "", "", {}},
          {"POST", kToken, {}, bound("v1", "Pod", "q"), 404, "NotFound", "pods \"q\" not found", {}},
          {"POST", kToken, {}, bound("v1", "Secret", "q"), 404, "NotFound", "secrets \"q\" not found", {}},
          {"POST", kToken, {}, bound("v1", "ConfigMap", "p"), 400, "BadRequest", "", {}},
          {"POST", kToken, {}, bound("apps/v1", "Pod", "p"), 400, "BadRequest", "", {}},
          {"POST", kToken, {}, stale, 409, "Conflict", "", {}},
          {"POST", kCore + "serviceaccounts/other/token", {}, bound("v1", "Pod", "p"), 400, "BadRequest", "", {}},
          {"POST", kToken, {}, R"({"metadata":{"name":"other"}})", 400, "BadRequest", "", {}},
          {"POST", kToken, {}, R"({"metadata":{"namespace":"other"}})", 400, "BadRequest", "", {}},
          {"POST", kToken, {}, R"({"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1"})", 400, "", "", {}},
          {"POST",
           kCore + "serviceaccounts/nobody/token",
           {},
           "{}",
           404,
           "NotFound",
           "serviceaccounts \"nobody\" not found",
           {}},
          {"POST", kCore + "pods/p/token", {}, "{}", 404, "NotFound", "", {}},
          {"GET", kToken, {}, "", 405, "MethodNotAllowed", "", {}},
          {"POST",
           kToken,
           kProtobuf,
           EnvelopeOf("authentication.k8s.io/v1", "TokenRequest", Bytes(2, Bytes(1, "vault") + Number(4, 700))),
           201,
           "",
           "",
           {{"/spec/audiences", {"vault"}}, {"/spec/expirationSeconds", 700}}},
      });
}

TEST_CASE("who has asked for a token speaks as the account") {
  TokenCluster api;
  const Answer answer = api.Send("POST", kToken, "{}");
  const std::string token = answer.at("/status/token").get<std::string>();
  const Answer self = api.SendAs(token, "POST", kWhoAmI, "{}");
  CHECK(self.code == 201);
  CHECK(self.at("/status/userInfo/username") == "system:serviceaccount:default:robot");
  CHECK(self.at("/status/userInfo/uid") == api.Uid(kCore + "serviceaccounts/robot"));
  CHECK(self.at("/status/userInfo/extra").contains("authentication.kubernetes.io/credential-id"));
  CheckLines(api, {{"POST",
                    kReviews,
                    {},
                    R"({"spec":{"token":")" + token + R"("}})",
                    201,
                    "",
                    "",
                    {{"/status/authenticated", true},
                     {"/status/user/username", "system:serviceaccount:default:robot"},
                     {"/status/user/groups/1", "system:serviceaccounts:default"},
                     {"/status/user/uid", api.Uid(kCore + "serviceaccounts/robot")},
                     {"/status/audiences", {kIssuer}}}},
                   {"POST",
                    kReviews,
                    {},
                    R"({"spec":{"token":")" + token + R"(","audiences":["vault"]}})",
                    201,
                    "",
                    "",
                    {{"/status/authenticated", false},
                     {"/status/user", nullptr},
                     {"/status/error", "the token is meant for another audience"}}}});
}

}  // namespace
}  // namespace wherry
