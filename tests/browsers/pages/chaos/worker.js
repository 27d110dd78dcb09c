// The worker of the package, with a storage that can be made to fail and a record of its claims.
import { nameRealm } from "./records.js";
import { obeyFaults } from "./storage-faults.js";
// Imported, not loaded later: it must listen when the first page connects.
// oxlint-disable-next-line import/no-unassigned-import
import "../tabmq/worker.js";

nameRealm(`worker-${new URL(location.href).searchParams.get("of")}`);
obeyFaults();
