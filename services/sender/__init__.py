"""The sender: actors that lease messages, choose a provider for each, hand it over and write down what came of it.

The law of this folder: an actor owns its state and is spoken to through its mailbox, or by plain
calls that do not wait; decisions are pure functions of `shared.policy` and `judgement`.

    dispatcher ──▶ provider actors ──▶ settler
        ▲               │ failover
        └───────────────┘
"""
