/*
A counterpart that nobody here wrote: an acceptor on the npm package `jspurefix`.

    node jspurefix_acceptor.cjs --home FOLDER_WITH_NODE_MODULES --port P --store FOLDER \
        --records FILE

Each order is answered by New, a partial fill and a fill; what was seen and answered goes to the
records file, one line each, before it is done (as in quickfix_acceptor.py). It takes any peer on
one port, keeps its numbers in files and ends when its standard input does.

Its engine's ways: it keeps what it sent in memory for as long as one connection lasts, so after a
reconnect it fills gaps over reports that were sent; it writes its numbers without waiting, so
after a kill they may be behind; it hands on what lies beyond a gap before the gap is filled; its
body length is padded with zeros.
*/
'use strict'

const fs = require('fs')
const path = require('path')
const { createRequire } = require('module')

function told (name, otherwise) {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? otherwise : process.argv[at + 1]
}

const home = path.resolve(told('home', '.'))
const bring = createRequire(path.join(home, 'node_modules', 'x.js'))
bring('reflect-metadata')
const fix = bring('jspurefix')
const { EmptyLogFactory } = bring('jspurefix/dist/config/empty-log-factory.js')

const port = Number(told('port'))
const records = fs.openSync(told('records'), 'a', 0o600)
const reports = Number(told('reports', '3'))

function note (line) {
  fs.writeSync(records, `${line}\n`)
}

class Broker extends fix.AsciiSession {
  onLogon (view) {
    this.peer = view.getString(49)
    note(`logon ${this.peer}`)
    return true
  }

  onReady () {}

  onStopped () {
    note(`logout ${this.peer}`)
  }

  onDecoded () {}

  onEncoded () {}

  onApplicationMsg (type, view) {
    if (type !== 'D') return
    const order = view.getString(11)
    note(`order ${this.peer} ${order} ${view.getString(43) === 'Y' ? 'Y' : 'N'}`)
    const quantity = Number(view.getString(38))
    const price = Number(view.getString(44) ?? '10')
    const half = Math.floor(quantity / 2)
    const steps = [['0', '0', 0, 0], ['F', '1', half, half], ['F', '2', quantity - half, quantity]]
    steps.slice(0, reports).forEach(([kind, status, last, done], at) => {
      const report = {
        OrderID: `O-${order}`,
        ExecID: `${order}-${at}`,
        ExecType: kind,
        OrdStatus: status,
        ClOrdID: order,
        Instrument: { Symbol: view.getString(55) },
        Side: view.getString(54),
        OrderQtyData: { OrderQty: quantity },
        LeavesQty: quantity - done,
        CumQty: done,
        AvgPx: done ? price : 0
      }
      if (last) Object.assign(report, { LastPx: price, LastQty: last })
      note(`report ${this.peer} ${order}-${at}`)
      this.send('8', report)
    })
  }
}

class Launcher extends fix.SessionLauncher {
  constructor (description) {
    super(null, description, new EmptyLogFactory())
  }

  makeFactory () {
    return { makeSession: (config) => new Broker(config) }
  }
}

process.stdin.on('data', () => {})
process.stdin.on('end', () => process.exit(0))
new Launcher({
  application: {
    type: 'acceptor',
    name: 'broker',
    tcp: { host: '127.0.0.1', port },
    protocol: 'ascii',
    dictionary: 'qf44'
  },
  Username: 'broker',
  Password: 'none',
  EncryptMethod: 0,
  ResetSeqNumFlag: false,
  HeartBtInt: 30,
  SenderCompId: told('own', 'BROKER'),
  TargetCompID: '*',
  BeginString: 'FIX.4.4',
  store: { type: 'file', directory: path.resolve(told('store')) }
}).run().catch((e) => {
  console.error(e)
  process.exit(70)
})
console.log('ready')
