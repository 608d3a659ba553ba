"""The topic exchange: binding keys are patterns of words, kept in a trie.

Both kinds of key are words with dots between. In a pattern `*` stands for exactly one word and `#` for zero or more,
where they are the whole word; in a routing key they are words like any other. The empty string is no word at all, while
`a.` is two words, the second of them empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, final

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.message import Message
from amqpd.wire.table import Table

ONE_WORD: Final = "*"
ANY_WORDS: Final = "#"


@final
class Node:
    """One place in the trie: the patterns that begin with the words that lead here.

    Args:
        parent: the place before it, None for the root.
        word: the word of a pattern that leads from there to here.
    """

    def __init__(self, parent: Node | None, word: str) -> None:
        self.parent = parent
        self.word = word
        self.repeats = parent is not None and word == ANY_WORDS
        self.words: dict[str, Node] = {}
        self.one_word: Node | None = None
        self.any_words: Node | None = None
        self.bindings: dict[Binding, None] = {}

    @property
    def empty(self) -> bool:
        """True when no pattern ends here or goes on from here."""
        return not self.bindings and not self.words and self.one_word is None and self.any_words is None

    def child(self, word: str) -> Node:
        """The place that one more word of a pattern leads to; made where there was none."""
        if word == ANY_WORDS:
            if self.any_words is None:
                self.any_words = Node(self, word)
            return self.any_words
        if word == ONE_WORD:
            if self.one_word is None:
                self.one_word = Node(self, word)
            return self.one_word
        if word not in self.words:
            self.words[word] = Node(self, word)
        return self.words[word]

    def forget(self, child: Node) -> None:
        """Drop a place that has become empty."""
        if child is self.any_words:
            self.any_words = None
        elif child is self.one_word:
            self.one_word = None
        else:
            del self.words[child.word]


@final
class TopicExchange(Exchange):
    """Routes to the bindings whose pattern matches a routing key.

    The trie is walked along all its matching branches at once, one word of the routing key after the other. The cost
    grows with the words and with the branches that still match, not with the bindings that do not; and as a place is
    entered once a word however many ways lead to it, no pattern, and be it `#.a.#.a.#.a.#`, makes the walk explode.
    """

    kind: ClassVar[str] = "topic"

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self._root = Node(None, "")

    # HOT: once a publish whose route is not cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        for key in keys:
            for node in _walk(self._root, _words(key)):
                for binding in node.bindings:
                    found[binding.destination] = None

    def _added(self, binding: Binding) -> None:
        self._place(binding.key).bindings[binding] = None

    def _removed(self, binding: Binding) -> None:
        node = self._place(binding.key)
        del node.bindings[binding]
        while node.parent is not None and node.empty:
            node.parent.forget(node)
            node = node.parent

    def _place(self, pattern: str) -> Node:
        """The place where a pattern ends; made where there was none."""
        node = self._root
        for word in _words(pattern):
            node = node.child(word)
        return node


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


# HOT: once a routing key
def _walk(root: Node, words: list[str]) -> dict[Node, None]:
    """The places whose patterns match these words."""
    places: dict[Node, None] = {}
    _enter(root, places)
    for word in words:
        following: dict[Node, None] = {}
        for node in places:
            _step(node, word, following)
        places = following
    return places


# HOT: once a word and place
def _step(node: Node, word: str, places: dict[Node, None]) -> None:
    """Add the places that one word of a routing key leads to."""
    if node.repeats:
        _enter(node, places)
    if node.one_word is not None:
        _enter(node.one_word, places)
    child = node.words.get(word)
    if child is not None:
        _enter(child, places)


# HOT: once a place entered
def _enter(node: Node | None, places: dict[Node, None]) -> None:
    """Add a place, and those behind it that `#` reaches over no words."""
    while node is not None and node not in places:
        places[node] = None
        node = node.any_words
