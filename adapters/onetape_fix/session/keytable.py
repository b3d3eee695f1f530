"""The tables of the keys: which there are. How each is read is in `keys`."""

from __future__ import annotations

from onetape_fix.session.keys import (
    Key,
    Read,
    address,
    age,
    asking,
    clock,
    day,
    days,
    digits,
    duties,
    flag,
    millis,
    number,
    path,
    port,
    profile,
    protocols,
    role,
    secret,
    sync,
    tape,
    text,
    version,
    whole,
)


def _table(*rows: tuple[str, str, Read]) -> dict[str, Key]:
    return {name.lower(): Key(name, field, read) for name, field, read in rows}


# A field with a dot is one of a part: "checks.order" is `order` of `checks`
SESSION = _table(
    ("BeginString", "begin_string", text),
    ("SenderCompID", "sender", text),
    ("SenderSubID", "sender_sub", text),
    ("SenderLocationID", "sender_location", text),
    ("TargetCompID", "target", text),
    ("TargetSubID", "target_sub", text),
    ("TargetLocationID", "target_location", text),
    ("SessionQualifier", "qualifier", text),
    ("SessionName", "session_name", text),
    ("ConnectionType", "role", role),
    ("DefaultApplVerID", "default_appl_ver", version),
    ("HeartBtInt", "heartbeat", whole),
    ("LogonTimeout", "logon_timeout", number),
    ("LogoutTimeout", "logout_timeout", number),
    ("ReconnectInterval", "reconnect", number),
    ("ResetOnLogon", "reset_on_logon", flag),
    ("ResetOnLogout", "reset_on_logout", flag),
    ("ResetOnDisconnect", "reset_on_disconnect", flag),
    ("RefreshOnLogon", "refresh_on_logon", flag),
    ("DataDictionary", "data_dictionary", path),
    ("TransportDataDictionary", "transport_dictionary", path),
    ("CheckCompID", "check_comp_id", flag),
    ("CheckLatency", "check_latency", flag),
    ("MaxLatency", "max_latency", number),
    ("TimestampPrecision", "timestamp_digits", digits),
    ("MillisecondsInTimeStamp", "digits_by_millis", millis),
    ("EnableNextExpectedMsgSeqNum", "next_expected", flag),
    ("EnableLastMsgSeqNumProcessed", "last_processed", flag),
    ("ResendRequestChunkSize", "resend_chunk", whole),
    ("MaxMessagesInResendRequest", "resend_chunk", whole),
    ("SendRedundantResendRequests", "redundant_resends", flag),
    ("PersistMessages", "persist", flag),
    ("FileStorePath", "store", path),
    ("Role", "duties", duties),
    ("Profile", "profile", profile),
    ("ThrottlePerSecond", "throttle", number),
    ("OrderTimeToLive", "order_ttl", age),
    ("Username", "username", secret),
    ("Password", "password", secret),
    ("SortBody", "sorted_body", flag),
    ("TestRequestID", "test_request_id", text),
    ("UseDataDictionary", "checks.dictionary", flag),
    ("ValidateIncomingMessage", "checks.dictionary", flag),
    ("ValidateFieldsOutOfOrder", "checks.order", flag),
    ("ValidateFieldsHaveValues", "checks.empty", flag),
    ("ValidateUserDefinedFields", "checks.user_defined", flag),
    ("ValidateUnorderedGroupFields", "checks.group_order", flag),
    ("AllowUnknownMsgFields", "checks.unknown_fields", flag),
    ("RejectGarbledMessage", "checks.reject_garbled", flag),
    ("Lenient", "checks.lenient", flag),
    ("StartTime", "schedule.start", clock),
    ("EndTime", "schedule.end", clock),
    ("StartDay", "schedule.first", day),
    ("EndDay", "schedule.last", day),
    ("Weekdays", "schedule.days", days),
    ("TimeZone", "schedule.zone", text),
    ("UseLocalTime", "schedule.local", flag),
    ("NonStopSession", "schedule.non_stop", flag),
    ("SocketAcceptAddress", "listen.host", text),
    ("SocketAcceptHost", "listen.host", text),
    ("SocketAcceptPort", "listen.port", port),
    ("SocketConnectSourceHost", "source.host", text),
    ("SocketConnectSourcePort", "source.port", port),
    ("SocketUseSSL", "tls.on", flag),
    ("SSLEnable", "tls.on", flag),
    ("CertificationAuthoritiesFile", "tls.authorities", path),
    ("CertificationAuthoritiesDirectory", "tls.authorities", path),
    ("SSLCACertificate", "tls.authorities", path),
    ("ClientCertificateFile", "tls.client", path),
    ("ClientCertificateKeyFile", "tls.client_key", path),
    ("ServerCertificateFile", "tls.server", path),
    ("ServerCertificateKeyFile", "tls.server_key", path),
    ("CertificateKeyPassword", "tls.key_password", secret),
    ("CertificateRevocationListFile", "tls.revoked", path),
    ("CertificateVerifyLevel", "tls.ask", asking),
    ("NeedClientAuth", "tls.ask", asking),
    ("SSLRequireClientCertificate", "tls.ask", asking),
    ("SSLServerName", "tls.server_name", text),
    ("SNIHostName", "tls.server_name", text),
    ("SSLProtocol", "tls.oldest", protocols),
    ("SSLProtocols", "tls.oldest", protocols),
    ("EnabledProtocols", "tls.oldest", protocols),
    ("SSLCipherSuite", "tls.ciphers", text),
)

GATEWAY = _table(
    ("Name", "name", text),
    ("Socket", "socket", path),
    ("Log", "log", path),
    ("Metrics", "metrics", address),
    ("Tape", "tape", tape),
    ("History", "history", number),
    ("Keep", "keep", number),
    ("SegmentSize", "segment", whole),
    ("Sync", "sync", sync),
    ("Queue", "queue", whole),
    ("Tick", "tick", number),
    ("LogonSize", "logon_size", whole),
    ("WriteLimit", "write_limit", whole),
    ("ConnectTimeout", "connect_timeout", number),
)

# Handed to the profile in `extra`; those whose names say so (`keys.is_secret`) as references
PROFILE = {
    name.lower(): name
    for name in (
        "Account",
        "ApiKey",
        "ApiSecret",
        "Authenticator",
        "CancelOnDisconnect",
        "Overlay",
        "Passphrase",
        "PrivateKey",
        "PrivateKeyFile",
        "PublicKey",
    )
}

_LOGS = "messages and events are kept in the journal"
_CHECKED = "it is always checked"
_OURS = "connections are made as this engine makes them"
_STORE = "the store is the journal in FileStorePath"
_AS_IS = "it makes no difference here"
NEUTRAL = {
    name.lower(): why
    for names, why in (
        (
            "FileLogPath FileLogBackupPath DebugFileLogPath FileLogHeartbeats ScreenLogShowIncoming"
            " ScreenLogShowOutgoing ScreenLogShowEvents ScreenLogEvents ScreenIncludeMilliseconds"
            " FileIncludeMilliseconds FileIncludeTimeStampForMessages LogonTag"
            " LogMessageWhenSessionNotFound MySQLLogDatabase MySQLLogUser MySQLLogPassword"
            " MySQLLogHost MySQLLogPort PostgreSQLLogDatabase PostgreSQLLogUser"
            " PostgreSQLLogPassword PostgreSQLLogHost PostgreSQLLogPort OdbcLogUser"
            " OdbcLogPassword OdbcLogConnectionString",
            _LOGS,
        ),
        (
            "MySQLStoreDatabase MySQLStoreUser MySQLStorePassword MySQLStoreHost MySQLStorePort"
            " MySQLStoreUseConnectionPool PostgreSQLStoreDatabase PostgreSQLStoreUser"
            " PostgreSQLStorePassword PostgreSQLStoreHost PostgreSQLStorePort"
            " PostgreSQLStoreUseConnectionPool OdbcStoreUser OdbcStorePassword"
            " OdbcStoreConnectionString FileStoreSync FileStoreMaxCachedMsgs JdbcDriver JdbcURL"
            " JdbcUser JdbcPassword ForceResendWhenCorruptedStore",
            _STORE,
        ),
        (
            "ValidateLengthAndChecksum ValidateChecksum ValidateSequenceNumbers"
            " RequiresOrigSendingTime CheckCertificateRevocation SSLCheckCertificateRevocation"
            " SSLValidateCertificates SSLValidateCertificatesOID EndpointIdentificationAlgorithm"
            " UseSNI",
            _CHECKED,
        ),
        (
            "SocketReuseAddress SocketNodelay SocketTcpNoDelay SocketKeepAlive SocketLinger"
            " SocketSendBufferSize SocketReceiveBufferSize SocketSendTimeout SocketReceiveTimeout"
            " SocketSynchronousWrites SocketSynchronousWriteTimeout SocketConnectProtocol"
            " SocketAcceptProtocol SocketTrafficClass SocketOobInline SocketIgnoreProxy"
            " SocketConnectTimeout HostSelectionPolicy MaxScheduledWriteRequests TLSCipherSuites"
            " CipherSuites KeyStoreType TrustStoreType",
            _OURS,
        ),
        (
            "HttpAcceptPort Description ContinueInitializationOnError PreserveMessageFieldsOrder"
            " FirstFieldInGroupIsDelimiter ValidateFieldsOutOfRange RejectInvalidMessage"
            " RejectMessageOnUnhandledException ForwardMessageOnUnhandledException AllowPosDup"
            " ClosedResendInterval UseClosedResendInterval DisableHeartBeatCheck"
            " HeartBeatTimeoutMultiplier TestRequestDelayMultiplier IgnorePossDupResendRequests"
            " SendLogoutBeforeDisconnectFromTimeout ResetOnError DisconnectOnError"
            " MaxMessagesInQueue InChanCapacity AppQueueLowerWatermark AppQueueUpperWatermark"
            " JmxRegister",
            _AS_IS,
        ),
    )
    for name in names.split()
}

# Values that would weaken a session, and what to write instead
REFUSED = {
    "sslvalidatecertificates": ("n", "give the peer's authority in CertificationAuthoritiesFile"),
    "validatelengthandchecksum": ("n", "leave it out: a message is never taken unverified"),
    "validatechecksum": ("n", "leave it out: a message is never taken unverified"),
    "validatesequencenumbers": ("n", "leave it out: a gap is never passed over"),
}
# Formats of certificates that only other engines read
OTHERS = {
    name.lower(): "convert it to PEM and use ClientCertificateFile, ServerCertificateFile,"
    " CertificationAuthoritiesFile"
    for name in ("SocketKeyStore", "SocketTrustStore", "SocketKeyStorePassword",
                 "SocketTrustStorePassword", "SSLCertificate", "SSLCertificatePassword")
}  # fmt: skip
OTHERS["certificaterevocationlistdirectory"] = "name one file in CertificateRevocationListFile"
