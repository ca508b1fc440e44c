"""The providers' side of the internet, for tests.

Every desk speaks one provider's API as its manuals say, and refuses what the provider would
refuse. It was written from the manuals alone, without a look at our adapters: that is what makes
it worth asking. Beside the API a desk has a life, which a test scripts, and a ledger of what it took:

    async with Internet("sendgrid", "ses") as internet:
        desk = internet.desk("sendgrid")
        desk.life.fail("rate_limit", share=0.2)             # one in five, until `heal`
        desk.life.script([acts.hang(), acts.reset(taken=True)])  # the next two requests
        ...
        taken = await desk.ledger.reached(100)              # waits for the event, not for time
        assert not internet.complaints

From other processes: `python -m tests.fakes.internet`, and `control.Remote` to script it.
"""

from tests.fakes.internet.internet import HTTP_DESKS, KINDS, Internet
from tests.fakes.internet.mime import opened

__all__ = ["HTTP_DESKS", "KINDS", "Internet", "opened"]
