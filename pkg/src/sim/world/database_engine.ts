export { IDBFactory, IDBKeyRange, IDBRequest } from "fake-indexeddb";
