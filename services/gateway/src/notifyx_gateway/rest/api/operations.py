"""Every operation of the REST API, as data. A test compares this list with the routes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from notifyx_common.contracts.accounts import (
    AwaitedEmail,
    EmailChange,
    EmailChangeState,
    EmailConfirmation,
    LinkCheck,
    NewPassword,
    PasswordChange,
    PasswordResetRequest,
    Profile,
)
from notifyx_common.contracts.auth import (
    ApiKeys,
    CreatedApiKey,
    NewApiKey,
    SignUp,
    TimeZone,
    TokenRequest,
    TokenResponse,
    User,
)
from notifyx_common.contracts.departures import DeleteAccount
from notifyx_common.contracts.hooks import HookRotation, Hooks, NewHook
from notifyx_common.contracts.sessions import EndedSessions, Sessions
from notifyx_common.contracts.store.acks import AckState, Unack
from notifyx_common.contracts.store.addresses import EmailResumed, EmailState
from notifyx_common.contracts.store.log import NewNotification
from notifyx_common.contracts.store.names import MAX_BODY
from notifyx_common.contracts.store.search import MAX_SEARCH
from notifyx_common.contracts.store.subscriptions import Subscription, Subscriptions, SubscriptionSettings
from notifyx_common.contracts.store.topics import NewTopic, Topic, TopicPatch, Topics
from notifyx_common.contracts.stream_tickets import TICKET_PATTERN, NewStreamTicket, StreamTicket
from notifyx_gateway.rest.answers import ClientConfig, DescribedTopic, SignedUp
from notifyx_gateway.rest.api import models
from notifyx_gateway.rest.hooks.kinds import KINDS
from notifyx_gateway.rest.hooks.multipart import MULTIPART
from notifyx_gateway.rest.requests import Acks
from notifyx_topics.names import MAX_NAME, NAME

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TEXT = "text/plain"
EVENT = "application/cloudevents+json"
EVENTS = "application/cloudevents-batch+json"
STREAM = "text/event-stream"
HTML = "text/html"

Schema = type[BaseModel] | dict[str, Any] | None
STRING: dict[str, Any] = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in ``path``, ``query`` or ``header``."""

    name: str
    where: str
    schema: dict[str, Any]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``responses``: status → description, content type and schema."""

    method: str
    path: str
    name: str
    summary: str
    tag: str
    responses: dict[int, tuple[str, str, Schema]]
    problems: tuple[int, ...] = ()
    body: dict[str, Schema] = field(default_factory=dict)
    body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    scope: str | None = None
    public: bool = False
    description: str = ""
    problem: type[models.Problem] = models.Problem


def _text(pattern: str, max_length: int) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, "minLength": 1, "maxLength": max_length}


_SEQ = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
_LIMIT = Parameter(
    "limit", "query", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}, "Most items of the page."
)
_CURSOR = {"type": "string", "pattern": "^[A-Za-z0-9_-]*$", "maxLength": 200}
_SEARCH = Parameter(
    "q", "query", {"type": "string", "minLength": 1, "maxLength": MAX_SEARCH},
    'Words that all occur, "phrases", and -words that do not. The last word may be the beginning of one.',
)  # fmt: skip
_SEARCHING = (
    "what it finds in titles, bodies, and texts and numbers of `data`, newest first; upper case and accents make no "
    "difference. A page ends early where a search takes long, and may be empty: go on while there is a `next`."
)
_GRANTS = (
    "An email address in a list counts once its owner has signed up with it and verified it. No answer says whether "
    "that is so: it would tell who has an account."
)
_NAME = Parameter(
    "name", "path", _text(f"^{NAME}$", MAX_NAME),
    "The topic's name. Where one reads or publishes, `user:<id>` (and `user:me`) is a user's inbox.",
)  # fmt: skip
_AFTER_NAME = Parameter(
    "after", "query", {"type": "string", "pattern": r"^[\x20-\x7e]*$", "maxLength": 320}, "`next` of the page before."
)
_KEY = Parameter(
    "Idempotency-Key", "header", _text(r"^[\x21-\x7e]+$", 255),
    "Publishing again with the same key is answered like the first time, for 24 hours or more; with another body: 409.",
)  # fmt: skip
_PUBLISH_BODY: dict[str, Schema] = {
    JSON: NewNotification,
    TEXT: {"type": "string", "maxLength": MAX_BODY, "minLength": 1},
    EVENT: models.CloudEvent,
    EVENTS: models.CloudEvents,
}
_PUBLISH_PROBLEMS = (400, 403, 404, 409, 413, 415, 429, 503, 504)
_PUBLISH_WAYS = (
    "Answered after the commit. Also takes plain text (what `curl -d 'text'` sends is taken as text, whatever content "
    "type it says, unless it is such a notification in JSON, or a form that begins with one of its fields: that is "
    "read or refused) and CloudEvents 1.0: structured as "
    "application/cloudevents+json, a batch as application/cloudevents-batch+json, and binary with `ce-` headers. A "
    "CloudEvent's source and id are its idempotency key when no header gives one: the same event with other "
    "attributes is a replay. Webhooks of Alertmanager, Grafana and Apprise are recognised and published as at "
    "`hooks`."
)
_PUBLISHED: dict[int, tuple[str, str, Schema]] = {
    200: ("What became of each part of a webhook that was recognised.", JSON, models.HookAnswer),
    201: ("It is committed.", JSON, models.Published),
    204: ("The CloudEvents are committed.", "", None),
}
_HOOK_ID = Parameter("hook_id", "path", _text("^[0-9a-f]{16}$", 16))
_KIND = Parameter("kind", "path", {"type": "string", "enum": list(KINDS)}, "What sends the webhook.")
_EACH = Parameter("each", "query", {"type": "string", "enum": ["alert", "group"], "default": "alert"},
                  "What of Alertmanager and Grafana becomes one notification.")  # fmt: skip
_HOOK_BODY: dict[str, Schema] = {
    JSON: {"description": "What the sender posts."}, FORM: {"type": "object"}, MULTIPART: {"type": "object"},
}  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST", "/api/v1/users", "signUp", "Sign up", "Accounts",
        {201: ("The new account.", JSON, SignedUp)}, (400, 403, 409, 413, 415, 429, 503),
        {JSON: SignUp}, public=True,
    ),
    Operation(
        "POST", "/api/v1/token", "token", "Get an access token (RFC 6749)", "Accounts",
        {200: ("The tokens.", JSON, TokenResponse)}, (400, 401, 413, 415, 429, 503), {FORM: TokenRequest}, public=True,
        description="Grants: `password` (username is the email), `refresh_token` (it rotates; a used one that comes "
        "back ends its session), `client_credentials` (id and secret of an API key, in the form or as HTTP Basic).",
        problem=models.TokenProblem,
    ),
    Operation(
        "POST", "/api/v1/token/revoke", "revoke", "End a session (RFC 7009)", "Accounts",
        {204: ("It has ended, or had before.", "", None)}, (400, 413, 415, 429, 503),
        {FORM: models.RevokeForm}, public=True,
    ),
    Operation(
        "GET", "/api/v1/me", "me", "Who am I", "Accounts", {200: ("The caller.", JSON, User)}, (503,),
    ),
    Operation(
        "PATCH", "/api/v1/me", "setProfile", "Change one's name", "Accounts",
        {200: ("The caller.", JSON, User)}, (400, 403, 413, 415, 503), {JSON: Profile}, scope="manage",
    ),
    Operation(
        "POST", "/api/v1/password-resets", "requestPasswordReset", "Ask for a new password", "Accounts",
        {202: ("If it is an account's address, a mail is on its way.", "", None)}, (400, 409, 413, 415, 429, 503),
        {JSON: PasswordResetRequest}, public=True,
        description="The answer is the same whether there is such an account. The mail has a link to a page of the web "
        "client, which sends its token to `complete`. A newer link replaces it. The request is recorded before the "
        "answer: the mail comes although a service crashes.",
    ),
    Operation(
        "POST", "/api/v1/password-resets/complete", "resetPassword", "Set a new password", "Accounts",
        {204: ("It is set; every session has ended.", "", None)}, (400, 413, 415, 429, 503), {JSON: NewPassword},
        public=True,
        description="The token from the mail works once, for an hour. The address is then verified. API keys and "
        "webhooks go on, unless `end_credentials` is true or the address had not been verified.",
    ),
    Operation(
        "POST", "/api/v1/links/check", "checkLink", "Can a link in a mail be used", "Accounts",
        {204: ("It can; it is not spent.", "", None)}, (400, 413, 415, 429, 503), {JSON: LinkCheck}, public=True,
        description="With the token from the mail. A link that is wrong, used, replaced or expired is `invalid_link` "
        "(400), whichever it is.",
    ),
    Operation(
        "PUT", "/api/v1/me/password", "changePassword", "Change one's password", "Accounts",
        {204: ("It is changed; the other sessions have ended.", "", None)}, (400, 403, 409, 413, 415, 429, 503),
        {JSON: PasswordChange}, scope="manage",
        description="For users, not for API keys. The session of the access token goes on.",
    ),
    Operation(
        "PUT", "/api/v1/me/email", "changeEmail", "Change one's address", "Accounts",
        {202: ("A mail to the new address is on its way.", "", None)}, (400, 403, 409, 413, 415, 429, 503),
        {JSON: EmailChange}, scope="manage",
        description="The address changes once the link in the mail is opened and confirmed. The answer is the same "
        "whether another account has that address; the mail to it says so.",
    ),
    Operation(
        "GET", "/api/v1/me/email/change", "emailChangeState", "Which new address awaits its confirmation", "Accounts",
        {200: ("The address and when its link ends, or null for both.", JSON, EmailChangeState)}, (403, 404, 503),
        scope="read",
        description="Another `PUT /me/email` has a mail sent again, and its link takes the place of the one before. "
        "Without a confirmation the link ends, and nothing changes.",
    ),
    Operation(
        "DELETE", "/api/v1/me/email/change", "cancelEmailChange", "Keep one's address after all", "Accounts",
        {204: ("The link in the mail has ended.", "", None)}, (403, 404, 409, 503), scope="manage",
    ),
    Operation(
        "POST", "/api/v1/me/email/check", "checkNewEmail", "Which address a link would give", "Accounts",
        {200: ("The new address; the link is not spent.", JSON, AwaitedEmail)}, (400, 403, 409, 413, 415, 503),
        {JSON: EmailConfirmation}, scope="manage",
        description="With the token from the mail, by the user who asked for it; for others it is `invalid_link` "
        "(400).",
    ),
    Operation(
        "POST", "/api/v1/me/email/confirm", "confirmEmail", "Confirm one's new address", "Accounts",
        {200: ("The caller, with the new address.", JSON, User)}, (400, 403, 409, 413, 415, 429, 503),
        {JSON: EmailConfirmation}, scope="manage",
        description="With the token from the mail, by the user who asked for it.",
    ),
    Operation(
        "DELETE", "/api/v1/me", "deleteAccount", "Delete one's account", "Accounts",
        {204: ("It is deleted.", "", None)}, (400, 403, 409, 413, 415, 429, 503), {JSON: DeleteAccount}, scope="manage",
        description="Needs the password again. At once all sessions, API keys and webhooks end; subscriptions, inbox "
        "and emails are removed within seconds, and the author of what one published in topics that stay within "
        "minutes. `topics` says what becomes of the topics that one manages alone: `delete`, `keep` (only "
        "administrators manage them), or `give_to` with the email address of a user who has verified it: they get "
        "those to which they subscribe, the others are kept; what one is given does not count in `maxTopics`. The last "
        "administrator, and the one of the deployment's settings, get 409.",
    ),
    Operation(
        "GET", "/api/v1/me/export", "exportAccount", "All of one's data", "Accounts",
        {200: ("One document, written while it is read.", JSON, models.Export)}, (400, 403, 429, 503), scope="read",
        description="Account, sessions, API keys and webhooks without their secrets, subscriptions, the topics that "
        "one manages, the notifications of one's inbox as far as they still exist, and those that one published. The "
        "last field is `complete`: a document without it was cut off.",
    ),
    Operation(
        "PUT", "/api/v1/me/time-zone", "setTimeZone", "Set the time zone of one's emails", "Accounts",
        {200: ("The caller.", JSON, User)}, (400, 403, 413, 415, 503), {JSON: TimeZone}, scope="manage",
        description="A name of the IANA database, such as Europe/Berlin; empty for UTC. The web client sends its own "
        "at the first sign-in.",
    ),
    Operation(
        "POST", "/api/v1/me/verification", "verifyEmail", "Have a verification mail sent", "Accounts",
        {202: ("The mail is on its way.", "", None)}, (403, 409, 429, 503), scope="manage",
    ),
    Operation(
        "GET", "/api/v1/me/email", "emailState", "Does email reach me", "Accounts",
        {200: ("The state of one's address.", JSON, EmailState)}, (403, 503), scope="read",
        description="Mail servers may refuse an address. Then email to it is `paused` and tried again from time to "
        "time; after several refusals it is `stopped`.",
    ),
    Operation(
        "POST", "/api/v1/me/email/resume", "resumeEmail", "Try one's address again", "Accounts",
        {200: ("Held emails are due again.", JSON, EmailResumed)}, (403, 429, 503), scope="manage",
        description="Ends `paused` and `stopped`. One email goes first: if it is refused, email stops again.",
    ),
    Operation(
        "GET", "/api/v1/me/sessions", "listSessions", "One's sessions", "Accounts",
        {200: ("The one used last first, 200 at most.", JSON, Sessions)}, (400, 403, 503), scope="read",
        description="Where one is signed in: client and address are those of the sign-in or the latest refresh.",
    ),
    Operation(
        "DELETE", "/api/v1/me/sessions", "endOtherSessions", "End all other sessions", "Accounts",
        {200: ("They have ended.", JSON, EndedSessions)}, (400, 403, 503), scope="manage",
        description="Every gateway ends within two seconds what is open with them.",
    ),
    Operation(
        "DELETE", "/api/v1/me/sessions/{session_id}", "endSession", "End a session", "Accounts",
        {204: ("It has ended.", "", None)}, (403, 404, 503), scope="manage",
        parameters=(Parameter("session_id", "path", _text("^[0-9a-f-]+$", 64)),),
        description="Every gateway ends within two seconds what is open with it.",
    ),
    Operation(
        "POST", "/api/v1/api-keys", "createApiKey", "Create an API key", "Accounts",
        {201: ("The key, shown this once.", JSON, CreatedApiKey)}, (400, 403, 409, 413, 415, 503), {JSON: NewApiKey},
        scope="manage",
    ),
    Operation(
        "GET", "/api/v1/api-keys", "listApiKeys", "One's API keys", "Accounts",
        {200: ("Newest first.", JSON, ApiKeys)}, (400, 403, 429, 503), scope="read",
    ),
    Operation(
        "DELETE", "/api/v1/api-keys/{key_id}", "deleteApiKey", "Delete an API key", "Accounts",
        {204: ("It is gone.", "", None)}, (403, 404, 503), scope="manage",
        parameters=(Parameter("key_id", "path", _text("^[A-Za-z0-9]+$", 32)),),
        description="Every gateway rejects it within two seconds, and ends what is open with it.",
    ),
    Operation(
        "POST", "/api/v1/topics", "createTopic", "Create a topic", "Topics",
        {201: ("The topic.", JSON, Topic)}, (400, 403, 409, 413, 415, 429, 503), {JSON: NewTopic}, scope="manage",
        description="The caller becomes its creator. " + _GRANTS,
    ),
    Operation(
        "GET", "/api/v1/topics", "listTopics", "Topics one may read", "Topics",
        {200: ("By name.", JSON, Topics)}, (400, 403, 503), scope="read",
        parameters=(_LIMIT, _AFTER_NAME, Parameter("q", "query", {"type": "string", "maxLength": 320,
                    "pattern": r"^[\x20-\x7e]*$"}, "Only names that contain this.")),
    ),
    Operation(
        "GET", "/api/v1/topics/{name}", "readTopic", "A topic", "Topics",
        {200: ("The topic.", JSON, DescribedTopic)}, (400, 403, 404, 429, 503), scope="read",
        parameters=(_NAME, Parameter("names", "query", {"type": "string", "enum": ["true", "false", "1", "0"]},
                    "Whether to tell the display names of the users in its lists.")),
    ),
    Operation(
        "PATCH", "/api/v1/topics/{name}", "changeTopic", "Change a topic", "Topics",
        {200: ("The topic as it is now.", JSON, Topic)}, (400, 403, 404, 409, 413, 415, 429, 503), {JSON: TopicPatch},
        scope="manage", parameters=(_NAME,),
        description="409 where a NotifyxTopic resource owns it. " + _GRANTS,
    ),
    Operation(
        "DELETE", "/api/v1/topics/{name}", "deleteTopic", "Delete a topic and its notifications", "Topics",
        {204: ("It is gone.", "", None)}, (403, 404, 409, 503), scope="manage", parameters=(_NAME,),
    ),
    Operation(
        "GET", "/api/v1/topics/{name}/subscribers", "listSubscribers", "Who is subscribed", "Topics",
        {200: ("By user.", JSON, models.SubscribersPage)}, (400, 403, 404, 503), scope="manage",
        parameters=(_NAME, _LIMIT, _AFTER_NAME),
    ),
    Operation(
        "PUT", "/api/v1/topics/{name}/subscription", "subscribe", "Subscribe, or change how", "Subscriptions",
        {200: ("The subscription.", JSON, Subscription)}, (400, 403, 404, 409, 413, 415, 503),
        {JSON: SubscriptionSettings}, body_required=False, scope="read", parameters=(_NAME,),
    ),
    Operation(
        "GET", "/api/v1/topics/{name}/subscription", "readSubscription", "One's own subscription", "Subscriptions",
        {200: ("The subscription.", JSON, Subscription)}, (403, 404, 503), scope="read", parameters=(_NAME,),
    ),
    Operation(
        "DELETE", "/api/v1/topics/{name}/subscription", "unsubscribe", "Unsubscribe", "Subscriptions",
        {204: ("Not subscribed.", "", None)}, (403, 404, 409, 503), scope="read", parameters=(_NAME,),
    ),
    Operation(
        "GET", "/api/v1/subscriptions", "listSubscriptions", "All of one's subscriptions", "Subscriptions",
        {200: ("With unread counts.", JSON, Subscriptions)}, (400, 403, 429, 503), scope="read",
    ),
    Operation(
        "POST", "/api/v1/topics/{name}/notifications", "publish", "Publish to a topic", "Notifications",
        _PUBLISHED, _PUBLISH_PROBLEMS, _PUBLISH_BODY,
        scope="publish", parameters=(_NAME, _KEY), description=_PUBLISH_WAYS,
    ),
    Operation(
        "POST", "/api/v1/users/{who}/notifications", "send", "Publish to a user's own inbox", "Notifications",
        _PUBLISHED, _PUBLISH_PROBLEMS, _PUBLISH_BODY,
        scope="publish", description=_PUBLISH_WAYS,
        parameters=(Parameter("who", "path", _text("^[^/\\x00-\\x20]+$", 320), "The user's id or email, or `me`."),
                    _KEY),
    ),
    Operation(
        "POST", "/api/v1/topics/{name}/hooks", "createHook", "Create the secret of a webhook", "Webhooks",
        {201: ("The secret, shown this once.", JSON, models.HookSecret)}, (400, 403, 404, 409, 413, 415, 503),
        {JSON: NewHook}, scope="manage", parameters=(_NAME,),
        description="`url` needs no other credential. A sender that signs (GitHub, Standard Webhooks) gets "
        "`signed_url` and `signing_secret`, or brings its own as `signing_secret`; GitLab may show the secret as "
        "`X-Gitlab-Token`.",
    ),
    Operation(
        "GET", "/api/v1/topics/{name}/hooks", "listHooks", "One's secrets of webhooks of a topic", "Webhooks",
        {200: ("Newest first.", JSON, Hooks)}, (400, 403, 404, 503), scope="read", parameters=(_NAME,),
    ),
    Operation(
        "GET", "/api/v1/hooks", "listAllHooks", "One's secrets of webhooks of all topics", "Webhooks",
        {200: ("Newest first.", JSON, Hooks)}, (400, 403, 503), scope="read",
    ),
    Operation(
        "POST", "/api/v1/hooks/{hook_id}/rotate", "rotateHook", "Replace the secret of a webhook", "Webhooks",
        {200: ("The new secret, shown this once.", JSON, models.HookSecret)}, (400, 403, 404, 413, 415, 503),
        {JSON: HookRotation}, body_required=False, scope="manage", parameters=(_HOOK_ID,),
        description="The secret before ends at once. To change it without a gap, create another and delete this one. "
        "A sender that makes the secret that it signs with brings it as `signing_secret`, as to `createHook`.",
    ),
    Operation(
        "DELETE", "/api/v1/hooks/{hook_id}", "deleteHook", "Delete the secret of a webhook", "Webhooks",
        {204: ("It is gone.", "", None)}, (403, 404, 503), scope="manage", parameters=(_HOOK_ID,),
    ),
    Operation(
        "POST", "/api/v1/topics/{name}/hooks/{kind}/{credential}", "receiveSecretWebhook",
        "Receive a webhook by a secret URL or a signature", "Webhooks",
        {200: ("What became of each part.", JSON, models.HookAnswer)}, _PUBLISH_PROBLEMS, _HOOK_BODY,
        parameters=(_NAME, _KIND, Parameter("credential", "path", _text("^[^/]+$", 100),
                    "The secret, or for a webhook that is signed its id."), _EACH),
        description="As `receiveWebhook`, for senders that cannot send an Authorization header: none is needed.",
    ),
    Operation(
        "POST", "/api/v1/topics/{name}/hooks/{kind}", "receiveWebhook", "Receive a webhook", "Webhooks",
        {200: ("What became of each part.", JSON, models.HookAnswer)}, _PUBLISH_PROBLEMS, _HOOK_BODY,
        scope="publish", parameters=(_NAME, _KIND, _EACH),
        description="Publishes what other software posts, as it posts it: an alert or an event each. What was "
        "published before is replayed. Where parts were refused only for now, the answer is their error, with "
        "`items`: send all again. So it is where the topic refused parts, as it does while it is paused.",
    ),
    Operation(
        "POST", "/api/v1/notifications:batch", "publishBatch", "Publish up to 1,000", "Notifications",
        {200: ("One answer for each item, in order.", JSON, models.BatchAnswer)}, (400, 403, 413, 415, 429, 503),
        {JSON: models.BatchRequest}, scope="publish",
        description="Each item is accepted or rejected by itself: read the `status` of each answer.",
    ),
    Operation(
        "GET", "/api/v1/topics/{name}/notifications", "history", "A topic's history", "Notifications",
        {200: ("Ascending by seq; what `q` finds is newest first.", JSON, models.HistoryOrFound)},
        (400, 403, 404, 429, 503), scope="read",
        parameters=(_NAME, Parameter("after", "query", _SEQ, "Only what has a larger seq: going forward."),
                    Parameter("before", "query", _SEQ, "Only what has a smaller seq: going back."), _LIMIT, _SEARCH,
                    Parameter("cursor", "query", _CURSOR, "With `q`: `next` of the page before.")),
        description="Without `after` and `before`: the newest. With `q`: " + _SEARCHING,
    ),
    Operation(
        "POST", "/api/v1/topics/{name}/acks", "acknowledge", "Acknowledge", "Notifications",
        {200: ("The caller's position.", JSON, models.Acked)}, (400, 403, 404, 409, 413, 415, 429, 503), {JSON: Acks},
        scope="read", parameters=(_NAME,),
    ),
    Operation(
        "POST", "/api/v1/topics/{name}/unacks", "unacknowledge", "Take acknowledgements back", "Notifications",
        {200: ("The caller's position.", JSON, models.Acked)}, (400, 403, 404, 409, 413, 415, 429, 503),
        {JSON: Unack}, scope="read", parameters=(_NAME,),
        description="`seqs` become unread again; or all that exist in (`after`, `up_to`] but `keep`, which takes an "
        "acknowledgement of everything back: `after` and `keep` are what `readAcks` said before it. No email is sent "
        "again. 409 `too_far_back` where more than 10,000 are acknowledged after one.",
    ),
    Operation(
        "GET", "/api/v1/topics/{name}/acks", "readAcks", "What one has acknowledged", "Notifications",
        {200: ("The cursor, and what is acknowledged above it.", JSON, AckState)}, (400, 403, 404, 503),
        scope="read",
        parameters=(_NAME, Parameter("after", "query", _SEQ, "Only seqs larger than this."),
                    Parameter("before", "query", _SEQ, "Only seqs smaller than this.")),
    ),
    Operation(
        "GET", "/api/v1/inbox", "inbox", "Everything one subscribes to", "Notifications",
        {200: ("Newest first.", JSON, models.InboxOrFound)}, (400, 403, 429, 503), scope="read",
        parameters=(Parameter("unread", "query", {"type": "string", "enum": ["true", "false", "1", "0"]},
                              "Only what is not acknowledged."), _LIMIT,
                    Parameter("after", "query", _CURSOR, "`next` of the page before."), _SEARCH),
        description="With `q`: " + _SEARCHING,
    ),
    Operation(
        "GET", "/api/v1/me/threads", "threads", "Those with whom one exchanged direct messages", "Notifications",
        {200: ("The one with the newest message first.", JSON, models.ThreadsOrFound)}, (400, 403, 429, 503),
        scope="read", parameters=(_LIMIT, Parameter("after", "query", _CURSOR, "`next` of the page before."), _SEARCH),
        description="Each once: a person or a ServiceAccount, with the beginning of the newest message of either side. "
        "What was received from those whose accounts are deleted is one thread, of the user `deleted`. With `q`: the "
        "messages of both sides, " + _SEARCHING,
    ),
    Operation(
        "GET", "/api/v1/me/threads/{who}", "thread", "Both sides of one's messages with one other", "Notifications",
        {200: ("Ascending by time; the newest page first.", JSON, models.ThreadPage)}, (400, 403, 404, 429, 503),
        scope="read",
        parameters=(Parameter("who", "path", _text("^[^/\\x00-\\x20]+$", 320),
                              "The id or email of the other; `me` for what one sent to oneself, `deleted` for what "
                              "deleted users sent."), _LIMIT,
                    Parameter("after", "query", _CURSOR, "`next` of the page before, which is newer.")),
        description="Empty for a user with whom one exchanged nothing. Send with `POST /users/{who}/notifications`.",
    ),
    Operation(
        "GET", "/api/v1/topics/{name}/stream", "stream", "A topic, live", "Notifications",
        {200: ("Server-sent events: see the AsyncAPI document.", STREAM, STRING)}, (400, 403, 404, 429, 503),
        scope="read",
        parameters=(_NAME, Parameter("since", "query", _SEQ, "The last seq seen: what follows it comes first."),
                    Parameter("lastEventId", "query", {"type": "string", "pattern": "^[0-9]{1,15}$"},
                              "The same, for clients that cannot set a header; it wins over `since`."),
                    Parameter("Last-Event-ID", "header", {"type": "string", "pattern": "^[0-9]{1,15}$"},
                              "The same, as browsers send it when they reconnect; it wins over both."),
                    Parameter("ticket", "query", _text(f"^{TICKET_PATTERN}$", 64),
                              "In place of the Authorization header, for the EventSource of browsers.")),
    ),
    Operation(
        "POST", "/api/v1/stream-tickets", "createStreamTicket", "Create a ticket for a stream", "Notifications",
        {201: ("It opens one stream, once.", JSON, StreamTicket)}, (400, 403, 404, 409, 413, 415, 503),
        {JSON: NewStreamTicket}, scope="read",
        description="For the EventSource of browsers, which cannot send a header: `?ticket=` in the stream's URL is in "
        "its place. A ticket ends with its first use or after `expires_in` seconds, and with the session or the key "
        "that made it. Browsers reconnect with the same URL, where the ticket has been used already: on an `error` "
        "with `readyState` 2 create another, and pass the last `lastEventId` along.",
    ),
    Operation(
        "GET", "/api/v1/config", "config", "What a client needs to know first", "Documents",
        {200: ("Where the socket is, and what this deployment offers.", JSON, ClientConfig)}, public=True,
    ),
    Operation(
        "GET", "/api/v1/openapi.json", "openapi", "This document", "Documents",
        {200: ("OpenAPI 3.1.", JSON, {"type": "object"})}, public=True,
    ),
    Operation(
        "GET", "/api/v1/docs", "docs", "This document, to be read", "Documents",
        {200: ("A page.", HTML, STRING)}, public=True,
    ),
    Operation(
        "GET", "/api/v1/asyncapi.yaml", "asyncapi", "The socket and the stream", "Documents",
        {200: ("AsyncAPI 3.", "application/yaml", {"type": "object"})}, public=True,
    ),
    Operation(
        "GET", "/.well-known/jwks.json", "jwks", "Signing keys of access tokens", "Documents",
        {200: ("A JWK set.", "application/jwk-set+json", models.KeySet)}, (503,), public=True,
    ),
    Operation(
        "GET", "/healthz", "health", "Is the process alive", "Health",
        {200: ("It is.", JSON, models.Health)}, public=True,
    ),
    Operation(
        "GET", "/readyz", "ready", "Does this node take requests", "Health",
        {200: ("It does.", JSON, models.Ready), 503: ("It does not.", JSON, models.Ready)}, public=True,
    ),
)  # fmt: skip
