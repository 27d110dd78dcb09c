export const PORT = 7411;

export const USAGE = `tabmq: a message broker for browser tabs, and its hub

  tabmq serve                         a hub, to which tabs and programs connect
  tabmq pub BUS TOPIC [BODY]          publishes a message
  tabmq sub BUS FILTER                prints what is published: * is one word, # any
  tabmq queue send BUS QUEUE [BODY]   sends a message to a queue
  tabmq queue work BUS QUEUE          takes messages, prints and acknowledges them
  tabmq queue peek BUS QUEUE          prints the messages of a queue and takes none

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
  --anonymous       let in everybody who reaches the address, with every right
  --metrics         answer GET /metrics, for Prometheus and others
  --json            print each line as a JSON object

A first SIGTERM or SIGINT stores everything and ends; a second one ends at once.
`;

export const MESSAGE_USAGE = `tabmq pub BUS TOPIC [BODY]
tabmq sub BUS FILTER
tabmq queue send BUS QUEUE [BODY]
tabmq queue work BUS QUEUE
tabmq queue peek BUS QUEUE

  BODY                text; without it, or with -, standard input is read
  --hub URL           default $TABMQ_HUB, else ws://127.0.0.1:${PORT}
  --token TOKEN       default $TABMQ_TOKEN
  --json              bodies are JSON, and each line that is printed is a JSON object
  --timeout DURATION  for what has an answer, such as 5s; default 10s

pub and queue send:
  --id ID --key KEY --header NAME=VALUE
queue send:
  --delay DURATION --ttl DURATION --priority NUMBER
sub, queue work and queue peek:
  --max NUMBER        end after so many messages
`;
