"""Dictionaries in QuickFIX's XML, brokers' oddities, overlays, and files that are wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onetape.errors import SettingsError
from onetape_fix.spec import load, overlaid, shipped

XML = """<fix type='FIX' major='4' minor='4' servicepack='0'>
 <header><field name='BeginString' required='Y'/><field name='MsgType' required='Y'/></header>
 <trailer><field name='CheckSum' required='Y'/></trailer>
 <messages>
  <message name='Order' msgtype='D' msgcat='app'>
   <field name='Id' required='Y'/>
   <field name='Note' required='C'/>
   <component name='Parties' required='N'/>
   <component name='Instrument' required='Y'/>
   <field name='Loud' required='O'/>
  </message>
  <message name='Odd' msgtype='XCN' msgcat='app'><field name='Id' required='Y'/></message>
 </messages>
 <components>
  <component name='Parties'>
   <group name='NoParties' required='N'>
    <field name='Party' required='Y'/><component name='Roles' required='N'/>
   </group>
   <field name='Note' required='Y'/>
  </component>
  <component name='Roles'>
   <group name='NoRoles' required='N'><field name='Role' required='N'/></group>
  </component>
  <component name='Instrument'><field name='Symbol' required='Y'/></component>
 </components>
 <fields>
  <field number='8' name='BeginString' type='STRING'/>
  <field number='35' name='MsgType' type='STRING'/>
  <field number='10' name='CheckSum' type='STRING'/>
  <field number='11' name='Id' type='STRING'/>
  <field number='58' name='Note' type='string'/>
  <field number='55' name='Symbol' type='STRING'/>
  <field number='453' name='NoParties' type='NUMINGROUP'/>
  <field number='448' name='Party' type='STRING'/>
  <field number='802' name='NoRoles' type='NUMINGROUP'/>
  <field number='523' name='Role' type='STRING'/>
  <field number='9001' name='Loud' type='CHAR'>
   <value enum='A' description='ALL'/><values><value enum='N'/></values>
  </field>
  <field number='9002' name='Blob' type='DATA'/>
 </fields>
</fix>"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "broker.xml"
    path.write_text(XML)
    return path


def test_what_the_file_says_is_what_is_read(place):
    broker = load(place)
    order = broker.messages["D"]
    assert broker.begin_string == "FIX.4.4"
    assert order.order == (11, 58, 453, 55, 9001)
    assert order.required == {11, 55}
    assert order.groups[453].first == 448
    assert order.groups[453].required == {448}
    assert order.groups[453].groups[802].order == (523,)
    assert broker.messages["XCN"].name == "Odd"
    assert broker.fields[9001].enums == {"A": "ALL", "N": ""}
    assert broker.fields[58].type == "STRING"
    assert 9002 in broker.data_tags
    assert 96 in broker.data_tags


def test_a_file_is_read_once_until_it_changes(place):
    first = load(place)
    assert load(place) is first
    place.write_text(XML.replace("name='Odd'", "name='Odder'"))
    os.utime(place, ns=(1, 1))
    assert load(place).messages["XCN"].name == "Odder"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("</fix>", "", "not well-formed"),
        ("<fix ", "<nofix ", "not well-formed"),
        ("major='4'", "", "without major="),
        ("number='11'", "number='eleven'", "number 'eleven'"),
        (" name='Id' type", " type", "without name="),
        ("<field name='Symbol' required='Y'/>", "<field name='Simbol'/>", "field Simbol"),
        ("<component name='Roles' required='N'/>", "<component name='Rolls'/>", "Rolls"),
        ("<field name='Role' required='N'/>", "<component name='Roles'/>", "contains itself"),
        ("<field name='Role' required='N'/>", "", "empty group"),
        ("msgtype='D'", "", "without msgtype="),
    ],
)
def test_a_broken_file_is_a_settings_error_that_says_what_is_wrong(place, old, new, reason):
    assert old in XML
    place.write_text(XML.replace(old, new))
    with pytest.raises(SettingsError, match=reason) as told:
        load(place)
    assert str(place) in str(told.value)


def test_another_root_is_told(place):
    place.write_text("<orchestra/>")
    with pytest.raises(SettingsError, match="expected <fix>"):
        load(place)


def test_no_file_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match="DataDictionary"):
        load(tmp_path / "none.xml")
    with pytest.raises(SettingsError, match="cannot be read"):
        overlaid(tmp_path / "none.xml", shipped("FIX.4.4"))


OVERLAY = """<fix major='4' minor='4'>
 <messages>
  <message name='ExecutionReport' msgtype='8' msgcat='app'>
   <field name='ClientTag' required='Y'/><field name='AvgPx' required='N'/>
   <group name='NoPartyIDs' required='N'>
    <field name='PartyID' required='Y'/><field name='Desk' required='N'/>
   </group>
  </message>
  <message name='Recovery' msgtype='U2' msgcat='app'><field name='ClOrdID' required='Y'/></message>
 </messages>
 <fields>
  <field number='9500' name='ClientTag' type='INT'/>
  <field number='9501' name='Desk' type='STRING'/>
  <field number='54' name='Side' type='CHAR'><value enum='Z' description='ODD'/></field>
 </fields>
</fix>"""


def test_an_overlay_adds_and_says_otherwise(tmp_path):
    path = tmp_path / "overlay.xml"
    path.write_text(OVERLAY)
    base = shipped("FIX.4.4")
    merged = overlaid(path, base)
    report = merged.messages["8"]
    assert 9500 in report.required
    assert 6 not in report.required
    assert base.messages["8"].required - {6} <= report.required
    assert report.tags == base.messages["8"].tags | {9500}
    assert report.groups[453].tags == base.messages["8"].groups[453].tags | {9501}
    assert report.groups[453].groups[802] == base.messages["8"].groups[453].groups[802]
    assert report.groups[453].required == {448}
    assert merged.messages["U2"].required == {11}
    assert merged.value_name(54, "Z") == "ODD"
    assert merged.value_name(54, "1") == "Buy"
    assert merged.header == base.header
    assert merged.messages["D"] == base.messages["D"]
    assert "U2" not in base.messages


def test_an_overlay_by_itself_has_no_other_fields(tmp_path):
    path = tmp_path / "overlay.xml"
    path.write_text(OVERLAY)
    with pytest.raises(SettingsError, match="AvgPx"):
        load(path)
