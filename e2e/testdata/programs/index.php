<?php
// Like WordPress: one script for every path.
switch ($_GET["do"] ?? "") {
case "pid":
    header("Content-Type: text/plain");
    echo getmypid();
    break;
case "sleep":
    usleep(1000 * (int) $_GET["ms"]);
    echo "slept\n";
    break;
case "hang":
    while (true) {}
case "say":
    error_log("a line of the program");
    echo "said\n";
    break;
default:
    header("Content-Type: text/plain");
    echo $_SERVER["REQUEST_METHOD"], " ", $_SERVER["REQUEST_URI"], " ", $_SERVER["SCRIPT_FILENAME"], " ",
        strlen(file_get_contents("php://input")), "\n";
}
