"""Session files: standard ones are read as they are, and what is wrong in them is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from onetape.errors import SettingsError
from onetape_fix.session.keytable import GATEWAY, NEUTRAL, SESSION
from onetape_fix.session.schedule import NON_STOP
from onetape_fix.session.secrets import Secret
from onetape_fix.session.settings import SessionConfig, Settings, read

Write = Callable[[str], Path]
ONE = """
[SESSION]
BeginString=FIX.4.4
SenderCompID=US
TargetCompID=THEM
ConnectionType=initiator
SocketConnectHost=localhost
SocketConnectPort=7001
NonStopSession=Y
"""
EVERYTHING = """\
\ufeff# a broker's sample
[default]
ConnectionType = initiator
ReconnectInterval=5
LogonTimeout=7
LogoutTimeout=3
HeartBtInt=20
FileStorePath=store
FileLogPath=log
StartTime=17:05:00
EndTime=17:00
StartDay=Sunday
EndDay=fri
TimeZone=America/New_York
ResetOnLogon=Y
ResetOnLogout=N
ResetOnDisconnect=y
UseDataDictionary=Y
TransportDataDictionary=FIXT11.xml
AppDataDictionary=FIX50SP2.xml
AppDataDictionary.FIX.5.0=FIX50.xml
DataDictionary=/dictionaries/FIX44.xml
ValidateFieldsOutOfOrder=N
ValidateFieldsHaveValues=N
ValidateUserDefinedFields=N
ValidateLengthAndChecksum=Y
AllowUnknownMsgFields=Y
CheckLatency=Y
MaxLatency=60
CheckCompID=N
TimestampPrecision=6
MillisecondsInTimeStamp=Y
EnableNextExpectedMsgSeqNum=Y
EnableLastMsgSeqNumProcessed=Y
ResendRequestChunkSize=500
PersistMessages=N
CertificationAuthoritiesFile=ca.pem
ClientCertificateFile=us.pem
ClientCertificateKeyFile=us.key
CertificateVerifyLevel=2
SSLProtocol=+TLSv1_2 -SSLv3 TLSv1.2 TLSv1.3

[Session]
BeginString=FIXT.1.1
DefaultApplVerID=FIX.5.0SP2
SenderCompID=US
SenderSubID=desk
TargetCompID=THEM
TargetSubID=fx
SessionQualifier=orders
SocketConnectHost=one.example
SocketConnectPort=7001
SocketConnectHost1=two.example
SocketConnectPort1=7002
SocketConnectHost2=three.example
Role=order, DropCopy
Profile=tt
ThrottlePerSecond=25
OrderTimeToLive=2.5
SessionName=broker-orders
Username=env:FIX_USER
Password=file:secrets/password
Account=12345
Profile.Flavour=mild
PrivateKeyFile=key.pem

[SESSION]
BeginString=FIX.4.2
SenderCompID=US
TargetCompID=THEM
SocketConnectHost=other.example
SocketConnectPort=7009
HeartBtInt=30
StartDay=
EndDay=
StartTime=08:00:00
EndTime=20:00:00

[GATEWAY]
Name=desk
Socket=run/desk.sock
Tape=env:TAPE_URL
Metrics=127.0.0.1:9100
Keep=14
Sync=always
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(told: str) -> Path:
        path = tmp_path / "broker.cfg"
        path.write_text(told, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def everything(write: Write) -> Settings:
    return read(write(EVERYTHING.replace("StartDay=\nEndDay=\n", "NonStopSession=Y\n")))


def test_a_standard_file_is_read_with_every_key(everything: Settings, tmp_path: Path) -> None:
    one = everything.sessions[0]
    assert one.id == "FIXT.1.1:US/desk->THEM/fx:orders"
    assert one.name == "broker-orders"
    assert one.hosts == (("one.example", 7001), ("two.example", 7002), ("three.example", 7001))
    assert (one.role, one.listen, one.default_appl_ver) == ("initiator", None, "9")
    assert (one.reconnect, one.logon_timeout, one.logout_timeout) == (5.0, 7.0, 3.0)
    assert (one.heartbeat, one.max_latency, one.timestamp_digits) == (20, 60.0, 6)
    assert (one.reset_on_logon, one.reset_on_logout, one.reset_on_disconnect) == (True, False, True)
    assert one.schedule.zone == "America/New_York"
    assert (one.schedule.first, one.schedule.last) == (6, 4)
    assert (one.schedule.start, one.schedule.end) == (61_500, 61_200)
    assert one.transport_dictionary == tmp_path / "FIXT11.xml"
    assert one.data_dictionary == Path("/dictionaries/FIX44.xml")
    assert one.app_dictionaries == (
        ("", tmp_path / "FIX50SP2.xml"),
        ("FIX.5.0", tmp_path / "FIX50.xml"),
    )
    checks = one.checks
    assert (checks.dictionary, checks.order, checks.empty) == (True, False, False)
    assert (checks.user_defined, checks.unknown_fields) == (False, True)
    assert (one.check_comp_id, one.next_expected, one.last_processed) == (False, True, True)
    assert (one.resend_chunk, one.persist, one.store) == (500, False, tmp_path / "store")
    assert one.duties == {"order", "dropcopy"}
    assert (one.profile, one.throttle, one.order_ttl) == ("tt", 25.0, 2.5)
    assert one.username == Secret("env:FIX_USER")
    assert one.password == Secret(f"file:{tmp_path}/secrets/password")
    key = str(tmp_path / "key.pem")
    assert one.extra == {"Account": "12345", "Flavour": "mild", "PrivateKeyFile": key}


def test_tls_is_on_where_certificates_are_named(everything: Settings, tmp_path: Path) -> None:
    tls = everything.sessions[0].tls
    assert tls is not None
    assert tls.authorities == tmp_path / "ca.pem"
    assert (tls.certificate, tls.key) == (tmp_path / "us.pem", tmp_path / "us.key")
    assert (tls.oldest, tls.ask) == ("1.2", "must")


def test_a_session_overrides_what_holds_for_all(everything: Settings) -> None:
    two = everything.sessions[1]
    assert (two.heartbeat, two.schedule) == (30, NON_STOP)
    assert two.name == two.id == "FIX.4.2:US->THEM"
    assert everything.session("FIX.4.2:US->THEM") is two
    assert everything.session("broker-orders") is everything.sessions[0]
    with pytest.raises(SettingsError, match=r"no session 'x'.*broker-orders, FIX\.4\.2:US->THEM"):
        everything.session("x")


def test_the_gateways_own_section(everything: Settings, tmp_path: Path) -> None:
    gateway = everything.gateway
    assert (gateway.name, gateway.socket) == ("desk", tmp_path / "run/desk.sock")
    assert (gateway.tape, gateway.metrics) == (Secret("env:TAPE_URL"), ("127.0.0.1", 9100))
    assert (gateway.keep, gateway.sync) == (14.0, "always")


def test_without_one_the_gateway_is_named_after_the_file(write: Write, tmp_path: Path) -> None:
    gateway = read(write(ONE)).gateway
    assert gateway.name == "broker"
    assert len(str(gateway.socket)) <= 100


def test_keys_that_change_nothing_are_told_with_their_line(everything: Settings) -> None:
    told = {note.key: note for note in everything.ignored}
    assert told["FileLogPath"].line == 9
    assert "journal" in told["FileLogPath"].why
    assert set(told) == {"FileLogPath", "ValidateLengthAndChecksum"}


def test_an_acceptor_listens_and_has_no_hosts(write: Write) -> None:
    told = ONE.replace("initiator", "acceptor") + "SocketAcceptPort=7002\n"
    one = read(write(told)).sessions[0]
    assert (one.role, one.listen, one.hosts) == ("acceptor", ("127.0.0.1", 7002), ())
    one = read(write(told + "SocketAcceptAddress=0.0.0.0\n")).sessions[0]
    assert one.listen == ("0.0.0.0", 7002)


def test_an_acceptor_with_tls_shows_its_servers_certificate(write: Write, tmp_path: Path) -> None:
    told = ONE.replace("initiator", "acceptor") + "SocketAcceptPort=0\nSocketUseSSL=Y\n"
    with pytest.raises(SettingsError, match="no ServerCertificateFile"):
        read(write(told))
    told += "ServerCertificateFile=s.pem\nServerCertificateKeyFile=s.key\nNeedClientAuth=Y\n"
    tls = read(write(told)).sessions[0].tls
    assert tls is not None
    assert (tls.certificate, tls.ask) == (tmp_path / "s.pem", "must")


def test_tls_said_to_be_off_is_off(write: Write) -> None:
    assert (
        read(write(ONE + "SocketUseSSL=N\nCertificationAuthoritiesFile=x\n")).sessions[0].tls
        is None
    )
    assert read(write(ONE + "SSLEnable=Y\n")).sessions[0].tls is not None
    assert read(write(ONE)).sessions[0].tls is None


@pytest.mark.parametrize(
    ("told", "digits"),
    [
        ("TimestampPrecision=9", 9),
        ("TimestampPrecision=MICROS", 6),
        ("TimestampPrecision=Second", 0),
        ("MillisecondsInTimeStamp=N", 0),
        ("MillisecondsInTimeStamp=Y", 3),
        ("", 3),
    ],
)
def test_digits_of_a_second_in_all_dialects(write: Write, told: str, digits: int) -> None:
    assert read(write(f"{ONE}{told}\n")).sessions[0].timestamp_digits == digits


def test_weekdays_and_times(write: Write) -> None:
    told = ONE.replace("NonStopSession=Y", "StartTime=22:00:00\nEndTime=05:00:00")
    schedule = (
        read(write(f"{told}Weekdays=Sun, Mo,tuesday\nTimeZone=Asia/Tokyo\n")).sessions[0].schedule
    )
    assert (schedule.days, schedule.zone) == ({6, 0, 1}, "Asia/Tokyo")


def test_local_time_is_the_zone_of_this_machine(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ONE.replace("NonStopSession=Y", "StartTime=22:00:00\nEndTime=05:00:00\nUseLocalTime=Y")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert read(write(told)).sessions[0].schedule.zone == "Europe/Berlin"
    with pytest.raises(SettingsError, match="UseLocalTime=Y and TimeZone"):
        read(write(told + "TimeZone=UTC\n"))


def test_an_order_may_live_for_ever(write: Write) -> None:
    assert read(write(ONE + "OrderTimeToLive=none\n")).sessions[0].order_ttl is None


def test_a_plain_password_is_refused_with_what_to_write_and_without_repeating_it(
    write: Write,
) -> None:
    for key in (
        "Password",
        "Username",
        "ApiSecret",
        "MySQLStorePassword",
        "CertificateKeyPassword",
    ):
        with pytest.raises(SettingsError) as caught:
            read(write(f"{ONE}{key}=hunter2\n"))
        assert f"line 10: {key}" in str(caught.value)
        assert "env:NAME, file:/path/to/file or keyring:service/name" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_the_database_takes_no_plain_password_either(write: Write) -> None:
    told = ONE + "[GATEWAY]\nTape=postgresql://me:hunter2@localhost/tape\n"
    with pytest.raises(SettingsError, match="without its password, or a reference") as caught:
        read(write(told))
    assert "hunter2" not in str(caught.value)
    assert read(write(told.replace(":hunter2", ""))).gateway.tape.startswith("postgresql")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("HeartBeatInt=30", r"line 10: unknown key 'HeartBeatInt'; did you mean HeartBtInt\?"),
        ("ResetOnLogn=Y", "did you mean ResetOnLogon"),
        ("Colour=red", r"unknown key 'Colour'; keys of a broker profile .* begin with Profile\."),
        ("HeartBtInt=thirty", "line 10: HeartBtInt 'thirty' found; expected a whole number"),
        ("HeartBtInt=-1", "a whole number"),
        ("MaxLatency=nan", "a number, 0 or more"),
        ("ResetOnLogon=maybe", "'maybe' found; expected Y or N"),
        ("SocketConnectPort1=70000", "a port, 0 to 65535"),
        ("SocketConnectPort1=1", "SocketConnectHost1 or SocketConnectPort1 is missing"),
        ("Role=orders", "Role orders found; some of clearing"),
        ("TimestampPrecision=4", "0, 3, 6, 9"),
        ("SSLValidateCertificates=N", "SSLValidateCertificates=N found; give the peer's authority"),
        ("ValidateChecksum=N", "never taken unverified"),
        ("SocketKeyStore=x.jks", "convert it to PEM"),
        ("SSLProtocol=TLSv1.1", "expected TLSv1.2 or TLSv1.3"),
        ("BeginString=FIX.4.2", "BeginString was set in line 3 already"),
        ("SocketUseSSL=Y\nSSLEnable=N", "SSLEnable says another thing than a key before it"),
        ("[OTHER]", r"section \[OTHER\] found"),
        ("[SESSION", r"section \[SESSION found"),
        ("hello", "neither a section nor key=value"),
        ("[GATEWAY]\nName=a\n[GATEWAY]", r"a second \[GATEWAY\]"),
        ("[GATEWAY]\nSokcet=a", "did you mean Socket"),
        ("[SESSION]", "BeginString is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(write: Write, more: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        read(write(f"{ONE}{more}\n"))
    assert "broker.cfg" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "NonStopSession=Y\n",
            "",
            "StartTime or EndTime is missing; set both, or NonStopSession=Y",
        ),
        ("NonStopSession=Y", "StartTime=8\nEndTime=9:00:00", "'8' found; expected HH:MM:SS"),
        (
            "NonStopSession=Y",
            "StartTime=08:00:00\nEndTime=09:00:00\nStartDay=Mo",
            "both or neither",
        ),
        ("NonStopSession=Y", "StartTime=08:00:00\nEndTime=09:00:00\nTimeZone=Mars", "'Mars' found"),
        ("ConnectionType=initiator\n", "", "ConnectionType is missing"),
        ("ConnectionType=initiator", "ConnectionType=both", "initiator or acceptor"),
        ("SocketConnectPort=7001\n", "", "SocketConnectPort is missing"),
        ("FIX.4.4", "FIX.5.0SP2", r"FIX 5\.0 is FIXT\.1\.1 with DefaultApplVerID"),
        ("[SESSION]\n", "", "stands before any section"),
        ("SenderCompID=US", "SenderCompID=", "SenderCompID is missing"),
    ],
)
def test_what_does_not_go_together_is_said(write: Write, old: str, new: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read(write(ONE.replace(old, new)))


def test_a_session_stands_only_once(write: Write) -> None:
    with pytest.raises(SettingsError, match=r"US->THEM stands in lines 2 and 11"):
        read(write(ONE + ONE))
    assert len(read(write(ONE + ONE + "SessionQualifier=2\n")).sessions) == 2
    with pytest.raises(SettingsError, match="session x stands in"):
        read(write(ONE + "SessionName=x\n" + ONE + "SessionQualifier=2\nSessionName=x\n"))


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read(tmp_path / "none.cfg")
    (tmp_path / "x.cfg").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="UTF-8 expected"):
        read(tmp_path / "x.cfg")


def test_a_config_made_in_python_is_checked_as_well() -> None:
    with pytest.raises(SettingsError, match="digits of a second"):
        SessionConfig(begin_string="FIX.4.4", sender="A", target="B", timestamp_digits=4)
    with pytest.raises(SettingsError, match="SenderCompID or TargetCompID is empty"):
        SessionConfig(begin_string="FIX.4.4", sender="", target="B")


def test_no_key_is_in_two_tables() -> None:
    assert not SESSION.keys() & NEUTRAL.keys()
    assert len(SESSION) > 80
    assert all(key.name.lower() == low for low, key in (*SESSION.items(), *GATEWAY.items()))
