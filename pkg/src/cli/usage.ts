export const PORT = 7411;

export const USAGE = `tabmq: a message broker for browser tabs, and its hub

  tabmq serve                         a hub, to which tabs and programs connect
  tabmq pub BUS TOPIC [BODY]          publishes a message
  tabmq sub BUS FILTER                prints what is published: * is one word, # any
  tabmq queue send BUS QUEUE [BODY]   sends a message to a queue, or many
  tabmq queue work BUS QUEUE          takes messages, prints and acknowledges them
  tabmq queue peek BUS QUEUE          prints the messages of a queue and takes none
  tabmq queue redrive BUS QUEUE       moves dead letters back to a queue
  tabmq call BUS SERVICE METHOD [ARG] calls a method and prints what it returns
  tabmq inspect BUS                   shows host, storage, peers, queues and services of a bus
  tabmq inspect services BUS          shows who serves what, and the calls under way
  tabmq bench BUS                     measures sends, receives and calls

  --help      what a command takes, as in: tabmq serve --help
  --version   of the package
`;

export const SERVE_USAGE = `tabmq serve: a hub, to which tabs and programs connect

  --data FOLDER     keep messages in files there (default: in memory, until it ends)
  --port NUMBER     default ${PORT}; 0 for a free one
  --host ADDRESS    default 127.0.0.1, which only this machine reaches
  --origins LIST    origins whose pages may connect, with commas between; * for all
                    (default: those of this machine)
  --token-file FILE let in who has one of the tokens in it, one to a line, with every right
  --jwks URL        let in who has a JSON Web Token of an issuer whose keys are there, with the
                    rights in its claim "tabmq", such as {"publish":["orders.#"]}
  --jwt-secret-file FILE
                    the same, with the secret for HS256 in the file
  --issuer TEXT --audience TEXT
                    what must stand in such tokens
  --anonymous       let in everybody who reaches the address, with every right
  --metrics         answer GET /metrics, for Prometheus and others
  --json            print each line as a JSON object

A first SIGTERM or SIGINT stores everything and ends; a second one ends at once.
`;

const COMMON = `
  --hub URL           default $TABMQ_HUB, else ws://127.0.0.1:${PORT}
  --token TOKEN       default $TABMQ_TOKEN
  --timeout DURATION  for what has an answer, such as 5s; default 10s
`;
const PROGRESS = `  --progress          tell how far it is, also where standard error is no terminal
`;
const BODY = `  BODY                text; without it, or with -, standard input is read
  --json              the body is JSON, and so is the line that is printed
`;
const WRITE = `  --id ID             in place of one of its own
  --key KEY
  --header NAME=VALUE may be given several times; values are text
  --traceparent TEXT  the trace to which it belongs
`;
const READ = `
  --max NUMBER        end after so many messages
  --json              print a JSON object for each message
`;

/** What each command takes that speaks to a hub, by its words. */
export const USAGES = {
  pub: `tabmq pub BUS TOPIC [BODY]: publishes a message

${BODY}${WRITE}${COMMON}`,

  sub: `tabmq sub BUS FILTER: prints what is published until a signal comes

  FILTER              * is one word, # any number of them
${READ.slice(1)}${PROGRESS}${COMMON}`,

  "queue send": `tabmq queue send BUS QUEUE [BODY]: sends a message, and prints its id

${BODY}${WRITE}  --delay DURATION    deliver it not before
  --ttl DURATION      it expires after so long
  --priority NUMBER   higher ones come first
  --lines             send each line of standard input, and print how many
${PROGRESS}${COMMON}`,

  "queue work": `tabmq queue work BUS QUEUE: takes messages, prints and acknowledges them
${READ}${PROGRESS}${COMMON}`,

  "queue peek": `tabmq queue peek BUS QUEUE: prints the messages of a queue and takes none
${READ}${PROGRESS}${COMMON}`,

  "queue redrive": `tabmq queue redrive BUS QUEUE: moves dead letters back

  QUEUE               the queue in which they died
  --where NAME=VALUE  those alone that fit; may be given several times:
                      id, reason (rejected, deliveries-max, lease-lost, overflow, expired),
                      header.NAME
  --rate NUMBER       at most so many a second
  --max NUMBER        at most so many in all
  --into QUEUE        to this queue and not back
  --json              print {"moved":NUMBER}
${PROGRESS}${COMMON}
What it moves takes as long as it takes, unless --timeout is given. A signal stops it; what was
moved stays moved.
`,

  call: `tabmq call BUS SERVICE METHOD [ARG...]: calls a method and prints what it returns

  ARG                 JSON, such as 7 or '"tea"' or '{"cups":2}'; - reads standard input
  --                  stands before arguments that begin with a hyphen
  --traceparent TEXT  the trace to which the call belongs
  --json              print {"result":VALUE}
${PROGRESS}${COMMON}
What the service throws is told by its name, code and message, and the process ends with 1.
`,

  inspect: `tabmq inspect BUS: shows host, storage, peers, queues and services of a bus
tabmq inspect services BUS: shows each server of each service, and the calls that it has

  --watch             show it again each second, until a signal comes
  --json              print one JSON object, with --watch one each second
${COMMON}`,

  bench: `tabmq bench BUS: measures sends, receives and calls, one after the other

  --seconds NUMBER    for each of the three; default 5
  --size BYTES        of each body; default 100
  --in-flight NUMBER  at a time; default 100
  --durability LEVEL  memory, relaxed or strict; default: that of the hub
  --json              print one JSON object
${PROGRESS}${COMMON}
It uses a queue and a service of its own, and deletes the queue. What it measures is this machine,
its load at this moment and the way to the hub.
`,
} as const;

/** What there is below the word `queue`. */
export const QUEUE_USAGE = `tabmq queue send BUS QUEUE [BODY]   sends a message to a queue, or many
tabmq queue work BUS QUEUE          takes messages, prints and acknowledges them
tabmq queue peek BUS QUEUE          prints the messages of a queue and takes none
tabmq queue redrive BUS QUEUE       moves dead letters back to a queue

  --help      what each takes, as in: tabmq queue send --help
`;
