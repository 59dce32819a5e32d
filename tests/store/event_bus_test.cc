#include "store/event_bus.h"

#include <catch2/catch.hpp>

namespace wherry {
namespace {

EventPtr MakeEvent(uint64_t revision, const std::string& resource = "pods", EventType type = EventType::kAdded) {
  auto event = std::make_shared<Event>();
  event->type = type;
  event->object = std::make_shared<const Object>(ObjectKey{resource, "default", "a"}, "u", revision, "{\"a\":1}");
  return event;
}

TEST_CASE("a frame is made once per type and shared") {
  const EventPtr event = MakeEvent(1);
  const auto added = event->Frame(EventType::kAdded);
  CHECK(*added == "{\"type\":\"ADDED\",\"object\":{\"a\":1}}\n");
  CHECK(event->Frame(EventType::kAdded) == added);
  CHECK(*event->Frame(EventType::kModified) == "{\"type\":\"MODIFIED\",\"object\":{\"a\":1}}\n");
  CHECK(*event->Frame(EventType::kDeleted) == "{\"type\":\"DELETED\",\"object\":{\"a\":1}}\n");
}

TEST_CASE("subscribers get the events of their resource in order") {
  EventBus bus;
  auto pods = bus.Subscribe("pods", 10);
  auto nodes = bus.Subscribe("nodes", 10);
  auto all = bus.Subscribe("", 10);
  bus.Publish(MakeEvent(1, "pods"));
  bus.Publish(MakeEvent(2, "nodes"));
  bus.Publish(MakeEvent(3, "pods"));
  const auto revisions = [](Subscription& s) {
    std::vector<uint64_t> out;
    while (auto event = s.Pop()) out.push_back(event->revision());
    return out;
  };
  CHECK(revisions(*pods) == std::vector<uint64_t>{1, 3});
  CHECK(revisions(*nodes) == std::vector<uint64_t>{2});
  CHECK(revisions(*all) == std::vector<uint64_t>{1, 2, 3});
  CHECK(pods->empty());
}

TEST_CASE("a slow reader is closed, keeps what it has and gets no more") {
  EventBus bus;
  auto slow = bus.Subscribe("pods", 2);
  int wakeups = 0;
  slow->set_wakeup([&] { ++wakeups; });
  bus.Publish(MakeEvent(1));
  CHECK(wakeups == 1);
  bus.Publish(MakeEvent(2));
  CHECK(wakeups == 1);  // it was not empty
  CHECK_FALSE(slow->closed());
  bus.Publish(MakeEvent(3));
  CHECK(slow->closed());
  CHECK(wakeups == 2);
  CHECK(bus.subscriptions() == 0);
  CHECK(slow->Pop()->revision() == 1);
  bus.Publish(MakeEvent(4));  // there would be room now, but 3 is lost
  CHECK(slow->Pop()->revision() == 2);
  CHECK(slow->Pop() == nullptr);
  CHECK(wakeups == 2);
}

TEST_CASE("a reader that empties its queue is woken again") {
  EventBus bus;
  auto reader = bus.Subscribe("pods", 2);
  int wakeups = 0;
  reader->set_wakeup([&] { ++wakeups; });
  for (uint64_t i = 1; i <= 5; ++i) {
    bus.Publish(MakeEvent(i));
    CHECK(reader->Pop()->revision() == i);
  }
  CHECK(wakeups == 5);
  CHECK_FALSE(reader->closed());
}

TEST_CASE("readers that left are forgotten") {
  EventBus bus;
  auto stays = bus.Subscribe("pods", 10);
  bus.Subscribe("pods", 10).reset();
  CHECK(bus.subscriptions() == 1);
  bus.Publish(MakeEvent(1));
  CHECK(stays->Pop()->revision() == 1);
}

TEST_CASE("shutdown closes every subscription, also later ones") {
  EventBus bus;
  auto a = bus.Subscribe("pods", 10);
  auto b = bus.Subscribe("", 10);
  int wakeups = 0;
  // The first to be woken lets the other go and tries to come back.
  std::shared_ptr<Subscription> again;
  a->set_wakeup([&] { ++wakeups; });
  b->set_wakeup([&] {
    ++wakeups;
    again = bus.Subscribe("", 10);
  });
  bus.Shutdown();
  CHECK(a->closed());
  CHECK(b->closed());
  CHECK(again->closed());
  CHECK(wakeups == 2);
  CHECK(bus.Subscribe("pods", 10)->closed());
  CHECK(bus.subscriptions() == 0);
  bus.Publish(MakeEvent(1));
  CHECK(a->empty());
}

TEST_CASE("handlers are called until removed") {
  EventBus bus;
  std::vector<std::string> calls;
  const auto pods =
      bus.AddHandler("pods", [&](const Event& e) { calls.push_back("pods " + std::to_string(e.revision())); });
  const auto all = bus.AddHandler("", [&](const Event& e) { calls.push_back("all " + std::to_string(e.revision())); });
  bus.Publish(MakeEvent(1));
  bus.RemoveHandler(pods);
  bus.Publish(MakeEvent(2));
  bus.RemoveHandler(all);
  bus.RemoveHandler(all);
  bus.RemoveHandler(12345);
  bus.Publish(MakeEvent(3));
  CHECK(calls == std::vector<std::string>{"pods 1", "all 1", "all 2"});
}

TEST_CASE("handlers and readers come and go from within Publish") {
  EventBus bus;
  std::vector<std::string> calls;
  std::shared_ptr<Subscription> late;
  EventBus::HandlerId first = 0;
  EventBus::HandlerId third = 0;
  std::string name = "first, with a name that is long enough not to live inside the function object";
  first = bus.AddHandler("pods", [&, name](const Event&) {
    // Many more, so that whatever holds the handlers has to move.
    for (int i = 0; i < 100; ++i) bus.AddHandler(i % 2 ? "pods" : "", [&](const Event&) { calls.push_back("late"); });
    late = bus.Subscribe("pods", 1000);
    bus.RemoveHandler(first);
    bus.RemoveHandler(third);
    calls.push_back(name.substr(0, 5));  // what it captured is still there
  });
  bus.AddHandler("pods", [&](const Event&) { calls.push_back("second"); });
  third = bus.AddHandler("pods", [&](const Event&) { calls.push_back("third"); });

  bus.Publish(MakeEvent(1));
  CHECK(calls == std::vector<std::string>{"first", "second"});
  CHECK(late->empty());
  calls.clear();
  bus.Publish(MakeEvent(2));
  CHECK(calls.size() == 101);
  CHECK(calls.front() == "second");
  CHECK(late->Pop()->revision() == 2);
}

TEST_CASE("a wakeup may drop its own reader and others") {
  EventBus bus;
  auto a = bus.Subscribe("pods", 10);
  auto b = bus.Subscribe("pods", 10);
  a->set_wakeup([&] {
    a.reset();
    b.reset();
  });
  bus.Publish(MakeEvent(1));
  CHECK(a == nullptr);
  CHECK(bus.subscriptions() == 0);
  bus.Publish(MakeEvent(2));
}

}  // namespace
}  // namespace wherry
