"""What an endpoint was told, held against what must always be true of it."""

from collections import defaultdict

OPENS = ("channel_occupied", "member_added")
CLOSES = ("channel_vacated", "member_removed")


class Ledger:
    """Reads on in what a receiver was sent, and checks each line as it is read.

    * Every attempt is signed over exactly its bytes.
    * One id means one event, on every delivery, and one word has one id.
    * Occupied and vacated of a channel alternate, and so do added and removed of a user in it.
    * In each channel ids come in ascending order, repetitions aside, and so do the numbers of each talker.
    * No event of a channel is tried before all earlier ones that were tried have been accepted.

    The last two do not hold where events were given up: `in_order` is false then.
    """

    def __init__(self, receiver, in_order=True):
        self.receiver, self.in_order = receiver, in_order
        self.attempts_read = self.told = 0
        # Events by id, when they first came, the ids of words.
        self.events, self.came, self.words = {}, {}, {}
        self.is_open, self.opened = {}, {}
        self.last, self.last_said = defaultdict(int), {}
        # Ids of each channel that were tried and not accepted yet.
        self.waiting = defaultdict(set)

    def read(self):
        with self.receiver.lock:
            attempts = self.receiver.attempts[self.attempts_read :]
        self.attempts_read += len(attempts)
        for attempt in attempts:
            assert self.receiver.is_signed(attempt), f"a wrong signature: {attempt}"
            self.note_try(attempt)
            for event in attempt.events if attempt.accepted is not False else ():
                self.take(event, attempt.came)
        return self

    @property
    def repeated(self):
        return self.told - len(self.events)

    def open_topics(self):
        """Channels as (channel, None), users as (channel, user)."""
        return {topic for topic, is_open in self.is_open.items() if is_open}

    def missing(self, words):
        return [word for word in words if word not in self.words]

    def note_try(self, attempt):
        numbers = defaultdict(set)
        for event in attempt.events:
            numbers[event["channel"]].add(int(event["id"]))
        for channel, ids in numbers.items():
            overtaken = {it for it in self.waiting[channel] - ids if it < max(ids)}
            assert not (self.in_order and overtaken), f"{max(ids)} of {channel} was tried before {overtaken} were accepted"
            self.waiting[channel] |= ids
            if attempt.accepted is not False:
                self.waiting[channel] -= ids

    def take(self, event, came):
        number = int(event["id"])
        assert event["id"] == str(number), event
        self.told += 1
        if number in self.events:
            assert self.events[number] == event, f"one id, two events: {self.events[number]}, {event}"
            return
        self.events[number], self.came[number] = event, came
        channel = event["channel"]
        if self.in_order:
            assert self.last[channel] < number, f"{number} of {channel} came after {self.last[channel]}"
            self.last[channel] = number
        if event["name"] == "client_event":
            self.take_word(event["data"], number)
        elif event["name"] in OPENS + CLOSES:
            self.take_edge((channel, event.get("user_id")), event["name"] in OPENS, number)

    def take_word(self, word, number):
        assert word not in self.words, f"{word} has two ids: {self.words[word]}, {number}"
        self.words[word] = number
        talker, _, count = word.partition("/")
        if self.in_order:
            assert self.last_said.get(talker, -1) < int(count), f"{word} came after {self.last_said[talker]}"
            self.last_said[talker] = int(count)

    def take_edge(self, topic, opens, number):
        was_open = self.is_open.get(topic, False)
        assert not self.in_order or was_open != opens, f"{topic} was {'open' if opens else 'closed'} already: {number}"
        self.is_open[topic] = opens
        if opens:
            self.opened[topic] = number
