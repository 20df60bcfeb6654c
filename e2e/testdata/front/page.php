<?php
header("Content-Type: text/plain");
echo "php ", $_SERVER["SCRIPT_NAME"], " [", $_SERVER["PATH_INFO"] ?? "", "] ", $_SERVER["HTTPS"] ?? "", "\n";
